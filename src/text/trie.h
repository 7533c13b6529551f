// A double-array trie (Aoe 1989): keys of bytes, one value each.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace dept {

class Trie {
 public:
  /// Of equal keys the last value holds. Values are >= 0, keys not empty.
  explicit Trie(std::vector<std::pair<std::string_view, int32_t>> keys = {});

  static constexpr uint32_t root = 0;
  static constexpr uint32_t none = UINT32_MAX;

  uint32_t child(uint32_t node, uint8_t byte) const {
    const uint32_t next = nodes_[node].base + byte;
    return nodes_[next].parent == node ? next : none;
  }
  /// The value of the key that ends here, or -1.
  int32_t value(uint32_t node) const { return nodes_[node].value; }

  /// Length and value of the longest key that begins `text`; length 0 when none does.
  std::pair<size_t, int32_t> longest_prefix(std::string_view text) const;

 private:
  struct Node {
    uint32_t base = 0;       // the children stand at base + byte
    uint32_t parent = none;  // none: a free cell
    int32_t value = -1;
  };
  uint32_t find_base(const std::vector<uint8_t>& bytes);
  void reserve(size_t size);

  std::vector<Node> nodes_;
  uint32_t first_free_ = 1;
};

}  // namespace dept
