#include "train/filler.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

namespace dept {
namespace {

void append_sequence(Ragged& tokens, at::Tensor& ids, int64_t length) {
  tokens.append(length, tokens.example.back(), tokens.config.back());
  if (!tokens.unbiased.empty()) tokens.unbiased.push_back(0);
  tokens.position = at::cat({tokens.position, at::arange(length, at::kLong)});
  tokens.row = at::cat({tokens.row, at::full({length}, -1, at::kLong)});
  ids = at::cat({ids, at::zeros({length}, at::kLong)});
}

}  // namespace

Batch with_filler(Batch batch, int64_t longest) {
  if (batch.target.tokens() == 0) return batch;
  const int64_t length = std::max(longest, batch.target.max_length());
  while (batch.target.tokens() < fewest_rows || batch.target.max_length() < longest) {
    append_sequence(batch.target, batch.target_ids, length);
    append_sequence(batch.source, batch.source_ids, 1);
  }
  return batch;
}

}  // namespace dept
