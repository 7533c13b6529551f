// Where a prompt starts: from words or from noise.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>

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

}  // namespace dept
