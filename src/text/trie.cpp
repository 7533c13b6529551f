#include "text/trie.h"

#include <algorithm>

namespace dept {

Trie::Trie(std::vector<std::pair<std::string_view, int32_t>> keys) {
  reserve(257);
  nodes_[root].parent = none - 1;  // taken, and nobody's child
  const auto before = [](const auto& a, const auto& b) { return a.first < b.first; };
  if (!std::is_sorted(keys.begin(), keys.end(), before)) std::stable_sort(keys.begin(), keys.end(), before);
  struct Task {
    uint32_t node;
    size_t begin, end, depth;  // keys_[begin, end) share their first `depth` bytes
  };
  std::vector<Task> tasks{{root, 0, keys.size(), 0}};
  std::vector<uint8_t> bytes;
  while (!tasks.empty()) {
    auto [node, begin, end, depth] = tasks.back();
    tasks.pop_back();
    for (; begin < end && keys[begin].first.size() == depth; ++begin)
      if (depth > 0) nodes_[node].value = keys[begin].second;
    if (begin == end) continue;
    bytes.clear();
    for (size_t i = begin; i < end; ++i) {
      const auto byte = static_cast<uint8_t>(keys[i].first[depth]);
      if (bytes.empty() || bytes.back() != byte) bytes.push_back(byte);
    }
    const uint32_t base = find_base(bytes);
    nodes_[node].base = base;
    for (const uint8_t byte : bytes) nodes_[base + byte].parent = node;
    for (size_t i = begin; i < end;) {
      const auto byte = static_cast<uint8_t>(keys[i].first[depth]);
      size_t next = i + 1;
      while (next < end && static_cast<uint8_t>(keys[next].first[depth]) == byte) ++next;
      tasks.push_back({base + byte, i, next, depth + 1});
      i = next;
    }
  }
}

void Trie::reserve(size_t size) {
  if (nodes_.size() < size) nodes_.resize(std::max(size, nodes_.size() * 3 / 2));
}

// The lowest base whose cells for all `bytes` are free, beginning at the first free cell of the array.
uint32_t Trie::find_base(const std::vector<uint8_t>& bytes) {
  const auto is_free = [&](size_t cell) { return cell >= nodes_.size() || nodes_[cell].parent == none; };
  while (!is_free(first_free_)) ++first_free_;
  uint32_t base = first_free_ > bytes[0] ? first_free_ - bytes[0] : 0;
  size_t tried = 0;
  while (!std::all_of(bytes.begin(), bytes.end(), [&](uint8_t byte) { return base + byte > root && is_free(base + byte); })) {
    ++base;
    ++tried;
  }
  // A stretch that keeps refusing is nearly full: later searches start behind it.
  if (tried > 1024) first_free_ = base + bytes[0];
  reserve(base + 257);
  return base;
}

std::pair<size_t, int32_t> Trie::longest_prefix(std::string_view text) const {
  std::pair<size_t, int32_t> best{0, -1};
  uint32_t node = root;
  for (size_t i = 0; i < text.size(); ++i) {
    node = child(node, static_cast<uint8_t>(text[i]));
    if (node == none) break;
    if (value(node) >= 0) best = {i + 1, value(node)};
  }
  return best;
}

}  // namespace dept
