#include "dept/adapter/init.h"

#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {

at::Tensor init_prompt_text(const Backbone& backbone, const Tokenizer& tokenizer, std::string_view text, int64_t M) {
  const Ids ids = tokenizer.encode(text);
  if (ids.empty()) fail(Code::bad_input, "prompt_tuning_init_text", "a text with at least one token", quote(text));
  Ids rows(M);
  for (int64_t j = 0; j < M; ++j) rows[j] = ids[j % ids.size()];
  return backbone.embed(at::tensor(rows)).to(at::kCPU, at::kFloat);
}

at::Tensor init_prompt_random(int64_t M, int64_t D, at::Generator generator) {
  return at::randn({M, D}, generator, at::kFloat);
}

}  // namespace dept
