// The ragged batch: B sequences of different lengths laid end to end, N tokens in all. Padding is never a member.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace dept {

/// Which batch of a recorded step a Ragged is (dept/tensor/tables.h); none outside of one.
enum class BatchPart : int8_t { none, source, target };

/// Vectors are per sequence, tensors per token. All are on the CPU, where batches are made; a model copies to its device what it
/// reads there.
struct Ragged {
  std::vector<int64_t> offsets{0};  ///< [B+1] first token of each sequence, then N
  std::vector<int64_t> config;      ///< [B] which of K stacked adapters
  std::vector<int64_t> prefix;      ///< [B] earlier sequence of this batch whose keys and values stand in front, -1 none
  std::vector<int64_t> example;     ///< [B] global index of the example (keys the dropout), -1 for a shared prompt
  std::vector<bool> outside;        ///< [B] whether it sees its prefix alone, not itself; empty means false for every sequence
  std::vector<int64_t> unbiased;    ///< [B] tokens at its end that a relative bias leaves out; empty means 0 for every sequence
  std::vector<int64_t> skipped;  ///< [B] its first token's place in the sequence that it was taken out of; empty means 0 for all
  at::Tensor position;           ///< int64 [N] what the backbone counts
  at::Tensor row;                ///< int64 [N] row of A·B, -1 none
  BatchPart part = BatchPart::none;

  int64_t batch() const { return static_cast<int64_t>(offsets.size()) - 1; }
  int64_t tokens() const { return offsets.back(); }
  int64_t length(int64_t b) const { return offsets[b + 1] - offsets[b]; }
  int64_t max_length() const;

  /// Appends a sequence of `length` tokens to the host vectors (not to position and row).
  void append(int64_t length, int64_t example_index, int64_t config_index = 0, int64_t prefix_sequence = -1);

  /// Some of its tokens, ascending, those that follow each other as one sequence, which keeps its example and its place, for
  /// dropout; without positions, rows and prefixes.
  Ragged some_tokens(const std::vector<int64_t>& tokens) const;

  /// Throws bug unless offsets ascend from 0, the [B] vectors have B entries, position and row are int64 [N] (row may be
  /// undefined) and each prefix names an earlier sequence.
  void check() const;
};

}  // namespace dept
