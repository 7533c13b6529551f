// Small things every family's file uses.
#pragma once

#include <ATen/core/Tensor.h>

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "dept/base/error.h"
#include "dept/base/json.h"
#include "dept/base/text.h"
#include "dept/kernels/activation.h"
#include "dept/kernels/norm_saved.h"
#include "dept/models/backbone.h"
#include "dept/models/model_files.h"

namespace dept {

/// A size of a model: an integer within sane bounds, so that products of sizes cannot overflow.
inline int64_t require_size(const Json& config, std::string_view key, const std::string& where) {
  const int64_t value = require<int64_t>(config, key, where);
  if (value < 1 || value > (int64_t{1} << 24))
    fail(Code::bad_input, dept::str(where, ": ", key), "a size from 1 to 2^24", dept::str(value));
  return value;
}

/// A size that a configuration may leave out.
inline int64_t size_or(const Json& config, std::string_view key, int64_t fallback, const std::string& where) {
  return config.contains(key) ? require_size(config, key, where) : fallback;
}

/// Throws bad_input unless `heads`, the field `heads_key`, share the width, the field `width_key`.
inline void check_heads(int64_t heads, std::string_view heads_key, int64_t width, std::string_view width_key,
                        const std::string& where) {
  if (width % heads != 0)
    fail(Code::bad_input, dept::str(where, ": ", heads_key), dept::str("a divisor of ", width_key, ", ", width),
         dept::str(heads));
}

inline std::optional<int64_t> optional_id(const Json& config, std::string_view key, const std::string& where) {
  const int64_t id = value_or<int64_t>(config, key, -1, where);
  return id < 0 ? std::nullopt : std::optional<int64_t>(id);
}

/// A dropout probability of a model.
inline double read_dropout(const Json& config, std::string_view key, double fallback, const std::string& where) {
  const double p = value_or<double>(config, key, fallback, where);
  if (!(p >= 0 && p < 1)) fail(Code::bad_input, dept::str(where, ": ", key), "0 to below 1", dept::str(p));
  return p;
}

/// What a norm adds to a variance.
inline double read_epsilon(const Json& config, std::string_view key, double fallback, const std::string& where) {
  const double eps = value_or<double>(config, key, fallback, where);
  if (!(eps >= 0 && eps <= 1)) fail(Code::bad_input, dept::str(where, ": ", key), "a number from 0 to 1", dept::str(eps));
  return eps;
}

/// An activation by transformers' name. Throws bad_input for one that is not known here.
inline kernels::Activation parse_activation(std::string_view name, const std::string& where) {
  using kernels::Activation;
  if (name == "relu") return Activation::relu;
  if (name == "gelu") return Activation::gelu;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh") return Activation::gelu_new;
  if (name == "silu" || name == "swish") return Activation::silu;
  fail(Code::bad_input, where, "relu, gelu, gelu_new, gelu_pytorch_tanh, silu or swish", quote(name));
}

/// A configuration's activation.
inline kernels::Activation read_activation(const Json& config, std::string_view key, std::string_view fallback,
                                           const std::string& where) {
  return parse_activation(value_or<std::string>(config, key, std::string(fallback), where), dept::str(where, ": ", key));
}

/// What stands in front of a checkpoint's names: the first of `prefixes` with which it has a tensor `probe`, else the first.
inline std::string name_prefix(const ModelFiles& files, std::initializer_list<std::string_view> prefixes,
                               std::string_view probe) {
  for (const std::string_view prefix : prefixes)
    if (files.weights != nullptr && files.weights->find(dept::str(prefix, probe)) != nullptr) return std::string(prefix);
  return std::string(*prefixes.begin());
}

/// Throws bug unless embeds is [tokens, D] of the residual's dtype on the context's device, and wanted tokens ascend.
inline void check_stream(const ModelContext& context, const Stream& stream, int64_t hidden, std::string_view where) {
  stream.tokens.check();
  const at::Tensor& x = stream.embeds;
  if (x.dim() != 2 || x.size(0) != stream.tokens.tokens() || x.size(1) != hidden || x.scalar_type() != context.residual() ||
      x.device() != context.device)
    fail(Code::bug, where,
         dept::str("embeds ", context.residual(), " [", stream.tokens.tokens(), ", ", hidden, "] on ", context.device),
         dept::str(x.scalar_type(), " ", x.sizes(), " on ", x.device()));
  int64_t last = -1;
  for (const int64_t n : stream.wanted) {
    if (n <= last || n >= stream.tokens.tokens())
      fail(Code::bug, where, dept::str("wanted tokens ascending below ", stream.tokens.tokens()), dept::str(n, " behind ", last));
    last = n;
  }
}

/// The same of an encoder, which has no target; throws bad_input for more tokens than it has positions.
inline void check_encoder_stream(const ModelContext& context, const Stream& source, const Stream* target, const ModelInfo& info) {
  if (target != nullptr) fail(Code::bug, info.model_type, "no target stream", "one");
  check_stream(context, source, info.input_width(), info.model_type);
  const int64_t length = source.tokens.max_length();
  if (info.max_positions > 0 && length > info.max_positions)
    fail(Code::bad_input, info.model_type,
         dept::str("at most ", info.max_positions, " tokens (its positions), the prompt's among them"), dept::str(length));
}

/// Bytes of a list of tensors.
inline int64_t bytes_of(std::initializer_list<at::Tensor> tensors) {
  int64_t bytes = 0;
  for (const at::Tensor& tensor : tensors)
    if (tensor.defined()) bytes += static_cast<int64_t>(tensor.nbytes());
  return bytes;
}
inline int64_t bytes_of(const kernels::NormSaved& saved) {
  return bytes_of({saved.normalised, saved.rstd, saved.largest});
}

}  // namespace dept
