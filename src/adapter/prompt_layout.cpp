#include "dept/adapter/prompt_layout.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>

#include <vector>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/kernels/row_sums.h"
#include "dept/tensor/upload.h"

namespace dept {
namespace {

using at::Tensor;

// A copy of its config's prompt stands in front of each text.
void lay_out_copies(const Ragged& text, PromptLayout& layout) {
  const int64_t M = layout.prompt, prompts = layout.configs * M;
  std::vector<int64_t> source, index;
  source.reserve(text.batch() * M + text.tokens());
  index.reserve(text.tokens());
  for (int64_t b = 0; b < text.batch(); ++b) {
    for (int64_t j = 0; j < M; ++j) source.push_back(text.config[b] * M + j);
    for (int64_t n = text.offsets[b]; n < text.offsets[b + 1]; ++n) {
      index.push_back(static_cast<int64_t>(source.size()));
      source.push_back(prompts + n);
    }
  }
  layout.source = at::tensor(source, at::kLong);
  layout.text = at::tensor(index, at::kLong);
}

}  // namespace

PromptLayout lay_out(const Ragged& text, int64_t prompt_tokens, int64_t configs, bool share_prompt) {
  for (const int64_t k : text.config)
    if (k < 0 || k >= configs) fail(Code::bug, "prompt layout", str("a config below ", configs), str(k));
  PromptLayout layout{configs, prompt_tokens, share_prompt, {}, {}};
  if (share_prompt) {
    layout.source = at::arange(configs * prompt_tokens + text.tokens(), at::kLong);
    layout.text = layout.source.narrow(0, configs * prompt_tokens, text.tokens());
  } else {
    lay_out_copies(text, layout);
  }
  return layout;
}

Ragged with_prompt(const Ragged& text, const PromptLayout& layout) {
  const int64_t K = layout.configs, M = layout.prompt;
  const bool prefix = layout.shared && M > 0;
  Ragged out;
  for (int64_t k = 0; prefix && k < K; ++k) out.append(M, -1, k);
  for (int64_t b = 0; b < text.batch(); ++b)
    out.append(text.length(b) + (prefix ? 0 : M), text.example[b], text.config[b], prefix ? text.config[b] : -1);
  if (!text.outside.empty()) {
    out.outside.assign(prefix ? K : 0, false);
    out.outside.insert(out.outside.end(), text.outside.begin(), text.outside.end());
  }
  if (!text.unbiased.empty()) {
    out.unbiased.assign(prefix ? K : 0, 0);
    out.unbiased.insert(out.unbiased.end(), text.unbiased.begin(), text.unbiased.end());
  }
  const Tensor none = at::full({K * M}, -1, at::kLong);
  const Tensor row = text.row.defined() ? text.row : at::full({text.tokens()}, -1, at::kLong);
  out.position = at::cat({at::arange(M, at::kLong).repeat({K}), text.position + M}).index_select(0, layout.source);
  out.row = at::cat({none, row}).index_select(0, layout.source);
  return out;
}

Tensor put_in_front(const PromptLayout& layout, const Tensor& P, const Tensor& text) {
  const Tensor X = at::cat({P.flatten(0, 1), text});
  return layout.shared ? X : X.index_select(0, upload(layout.source, X.device()));
}

PromptGradients take_from_front(const PromptLayout& layout, const Tensor& d_stream) {
  const int64_t prompts = layout.configs * layout.prompt, N = layout.text_tokens();
  if (d_stream.dim() != 2 || d_stream.size(0) != layout.tokens())
    fail(Code::bug, "prompt layout", str("gradients [", layout.tokens(), ", D]"), dept::str(d_stream.sizes()));
  const int64_t D = d_stream.size(1);
  const at::ArrayRef<int64_t> source(layout.source.const_data_ptr<int64_t>(), static_cast<size_t>(layout.tokens()));
  std::vector<int64_t> prompt_row = source.vec();
  for (int64_t& row : prompt_row)
    if (row >= prompts) row = -1;
  const Tensor P = kernels::wide_row_sums(d_stream, prompt_row, prompts).view({layout.configs, layout.prompt, D});
  if (layout.shared) return {P, d_stream.narrow(0, prompts, N)};
  return {P, d_stream.index_select(0, upload(layout.text, d_stream.device()))};
}

}  // namespace dept
