// Which batches can share one recorded step: those of a bucket. Filled up with sequences that nobody looks at, all batches of a
// bucket have as many sequences and as many tokens, none of them longer than the bucket allows.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <vector>

#include "dept/models/graphed.h"
#include "dept/tensor/context.h"
#include "dept/tensor/ragged.h"

namespace dept {

struct Bucket {
  /// Of one of the step's two batches.
  struct Part {
    int64_t tokens = 0;           ///< filled up
    int64_t fillers = 0;          ///< sequences, at the end
    int64_t longest = 0;          ///< tokens of a sequence that is no prefix
    int64_t reach = 0;            ///< what positions stay below
    int64_t prefix_length = 0;    ///< of each sequence that others name as their prefix
    std::vector<int64_t> prefix;  ///< [B] as the batch has it

    auto operator<=>(const Part&) const = default;
    int64_t batch() const { return static_cast<int64_t>(prefix.size()); }
  };

  bool training = false;
  Part source;
  std::optional<Part> target;

  auto operator<=>(const Bucket&) const = default;
};

/// None for a batch with what no recorded step takes: an empty sequence, queries outside of their sequence, tokens without
/// relative bias, prefixes of different lengths.
std::optional<Bucket> bucket_of(const Call& call, const Ragged& source, const Ragged* target, const GraphOptions& options);

/// A batch of the bucket, filled up.
Ragged filled_up(const Ragged& tokens, const Bucket::Part& part, BatchPart name);

/// The batch that a step is recorded for: one that is as long as the bucket allows, at its furthest positions.
Ragged sample_of(const Bucket::Part& part, BatchPart name);

}  // namespace dept
