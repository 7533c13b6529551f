// Where training starts: the prompt from words or noise, A uniform, B zero (so that A·B starts as nothing).
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>

#include "dept/adapter/dept.h"
#include "dept/models/backbone.h"
#include "dept/text/tokenizer.h"

namespace dept {

/// The original's initial text, its spelling included.
inline constexpr std::string_view default_init_text = "Classify this text is postive or not:";

/// P [M, D] fp32: the frozen word embeddings of `text`, its ids with the special tokens, repeated and cut to M rows.
/// Throws bad_input when the text has no ids.
at::Tensor init_prompt_text(const Backbone& backbone, const Tokenizer& tokenizer, std::string_view text, int64_t M);

/// P [M, D] fp32 from N(0, 1).
at::Tensor init_prompt_random(int64_t M, int64_t D, at::Generator generator);

/// One stacked adapter (K = 1) around `prompt` [M, D]: A [1, S, R] as kaiming_uniform(a = sqrt 5) over fan-in R draws it, that is
/// U(-1/sqrt R, 1/sqrt R) (He et al., arXiv 1502.01852, eq. 10 with slope a), and B [1, R, D] of zeros.
DeptWeights init_dept(const at::Tensor& prompt, int64_t S, int64_t R, at::Generator generator);

/// Adapters of one shape as one: [1, ...] each -> [K, ...].
DeptWeights stack_adapters(const std::vector<DeptWeights>& adapters);

}  // namespace dept
