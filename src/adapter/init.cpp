#include "dept/adapter/init.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <cmath>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {

at::Tensor init_prompt_text(const Backbone& backbone, const Tokenizer& tokenizer, std::string_view text, int64_t M) {
  const Ids ids = tokenizer.encode(text);
  if (ids.empty()) fail(Code::bad_input, "prompt_tuning_init_text", "a text with at least one token", quote(text));
  Ids rows(M);
  for (int64_t j = 0; j < M; ++j) rows[j] = ids[j % ids.size()];
  return backbone.embed(at::tensor(rows)).to(at::kFloat);
}

at::Tensor init_prompt_random(int64_t M, int64_t D, at::Generator generator) {
  return at::randn({M, D}, generator, at::kFloat);
}

DeptWeights init_dept(const at::Tensor& prompt, int64_t S, int64_t R, at::Generator generator) {
  const int64_t D = prompt.size(1);
  at::Tensor A = at::empty({S, R}, at::kFloat);
  if (R > 0) {
    // In the order of torch.nn.init, so that the bound has the same bits: gain, deviation, bound.
    const double slope = std::sqrt(5.0);
    const double gain = std::sqrt(2.0 / (1.0 + slope * slope));
    const double bound = std::sqrt(3.0) * (gain / std::sqrt(static_cast<double>(R)));
    A.uniform_(-bound, bound, generator);
  }
  return {prompt.unsqueeze(0).contiguous(), A.unsqueeze(0), at::zeros({1, R, D}, at::kFloat)};
}

DeptWeights stack_adapters(const std::vector<DeptWeights>& adapters) {
  std::vector<at::Tensor> P, A, B;
  for (const DeptWeights& one : adapters) {
    P.push_back(one.P);
    A.push_back(one.A);
    B.push_back(one.B);
  }
  return {at::cat(P), at::cat(A), at::cat(B)};
}

}  // namespace dept
