// What ranks do together beside sums: one for all, one after the other, each its share. A null group is one rank.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dept/tensor/context.h"

namespace dept {

/// Whether this rank writes, logs and shows progress for all.
inline bool is_first(const Collective* group) {
  return group == nullptr || group->rank() == 0;
}

/// The bytes that each rank has, by rank, on every rank. Throws io when a rank is gone, as do the following.
std::vector<std::string> gather(Collective* group, const std::string& mine);

/// Rank 0's bytes, on every rank.
std::string from_first(Collective* group, const std::string& mine);

/// Returns when every rank has come here.
void wait_for_all(Collective* group);

/// Items [begin, end) of a list.
struct ItemRange {
  size_t begin = 0, end = 0;
  size_t size() const { return end - begin; }
};

/// This rank's part of items that weigh so much: the parts follow each other in the ranks' order and weigh about the same.
ItemRange share_in_order(std::span<const int64_t> weights, const Collective* group);

/// The places of this rank's items, ascending, where any rank may have any: no rank gets more than its share of the count,
/// rounded up, and the parts weigh about the same.
std::vector<size_t> share_evenly(std::span<const int64_t> weights, const Collective* group);

}  // namespace dept
