#include "dept/dist/ranks.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstring>
#include <numeric>

namespace dept {
namespace {

// The bytes of `root`, which has so many.
std::string broadcast(Collective& group, const std::string& mine, int64_t root, int64_t size) {
  if (size == 0) return "";
  at::Tensor bytes = at::empty({size}, at::kByte);
  if (group.rank() == root) std::memcpy(bytes.data_ptr<uint8_t>(), mine.data(), mine.size());
  group.broadcast(bytes, root);
  return {reinterpret_cast<const char*>(bytes.const_data_ptr<uint8_t>()), static_cast<size_t>(size)};
}

}  // namespace

std::vector<std::string> gather(Collective* group, const std::string& mine) {
  if (group == nullptr) return {mine};
  at::Tensor sizes = at::zeros({group->size()}, at::kDouble);
  sizes.data_ptr<double>()[group->rank()] = static_cast<double>(mine.size());
  group->all_reduce_sum(sizes);
  std::vector<std::string> all;
  for (int64_t root = 0; root < group->size(); ++root)
    all.push_back(broadcast(*group, mine, root, static_cast<int64_t>(sizes.const_data_ptr<double>()[root])));
  return all;
}

std::string from_first(Collective* group, const std::string& mine) {
  return gather(group, is_first(group) ? mine : std::string()).front();
}

void wait_for_all(Collective* group) {
  if (group != nullptr) group->barrier();
}

ItemRange share_in_order(std::span<const int64_t> weights, const Collective* group) {
  if (group == nullptr) return {0, weights.size()};
  // An item belongs to the rank in whose part of the whole its middle lies.
  const double total = static_cast<double>(std::accumulate(weights.begin(), weights.end(), int64_t{0}));
  const auto begin_of = [&](int64_t rank) {
    const double bound = total * static_cast<double>(rank) / static_cast<double>(group->size());
    double before = 0;
    size_t item = 0;
    for (; item < weights.size(); ++item) {
      const auto weight = static_cast<double>(weights[item]);
      if (before + weight / 2 >= bound) break;
      before += weight;
    }
    return item;
  };
  const bool last = group->rank() + 1 == group->size();
  return {begin_of(group->rank()), last ? weights.size() : begin_of(group->rank() + 1)};
}

std::vector<size_t> share_evenly(std::span<const int64_t> weights, const Collective* group) {
  std::vector<size_t> order(weights.size());
  std::iota(order.begin(), order.end(), size_t{0});
  if (group == nullptr) return order;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return weights[a] > weights[b]; });
  // The heaviest item that is left goes to the lightest rank that still has room.
  const size_t ranks = static_cast<size_t>(group->size()), room = (weights.size() + ranks - 1) / ranks;
  std::vector<int64_t> sums(ranks);
  std::vector<size_t> counts(ranks), mine;
  for (const size_t item : order) {
    size_t lightest = ranks;
    for (size_t r = 0; r < ranks; ++r)
      if (counts[r] < room && (lightest == ranks || sums[r] < sums[lightest])) lightest = r;
    sums[lightest] += weights[item];
    ++counts[lightest];
    if (lightest == static_cast<size_t>(group->rank())) mine.push_back(item);
  }
  std::sort(mine.begin(), mine.end());
  return mine;
}

}  // namespace dept
