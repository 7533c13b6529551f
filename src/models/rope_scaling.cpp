#include "models/rope_scaling.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/pow.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr const char* original_context = "original_max_position_embeddings";

double positive(const Json& config, std::string_view key, const std::string& where) {
  const double value = require<double>(config, key, where);
  if (!(value > 0 && std::isfinite(value))) fail(Code::bad_input, str(where, ": ", key), "a positive number", str(value));
  return value;
}

double positive_or(const Json& config, std::string_view key, double fallback, const std::string& where) {
  const auto found = config.find(std::string(key));
  return found == config.end() || found->is_null() ? fallback : positive(config, key, where);
}

// Llama 3.1: waves longer than the original context's share are stretched, short ones left, those between blended.
void scale_llama3(double* frequency, int64_t count, const Json& scaling, const std::string& where) {
  const double factor = positive(scaling, "factor", where), low = positive(scaling, "low_freq_factor", where),
               high = positive(scaling, "high_freq_factor", where), context = positive(scaling, original_context, where);
  if (high <= low) fail(Code::bad_input, where + ": high_freq_factor", str("above low_freq_factor, ", low), str(high));
  for (int64_t i = 0; i < count; ++i) {
    const double turns = context * frequency[i] / (2 * std::numbers::pi);  // within the original context
    const double plain = std::clamp((turns - low) / (high - low), 0.0, 1.0);
    frequency[i] *= plain + (1 - plain) / factor;
  }
}

// YaRN, section 3.2: as llama3, but blended along the dimension instead of the wave length; returns the factor of section 3.4.
double scale_yarn(double* frequency, int64_t count, double theta, const Json& scaling, const std::string& where) {
  const double factor = positive(scaling, "factor", where), context = positive(scaling, original_context, where),
               fast = positive_or(scaling, "beta_fast", 32, where), slow = positive_or(scaling, "beta_slow", 1, where);
  if (theta <= 1) fail(Code::bad_input, where + ": rope_theta", "above 1 for yarn", str(theta));
  for (const char* key : {"mscale", "mscale_all_dim"})
    if (scaling.contains(key)) fail(Code::bad_input, str(where, ": ", key), "none", "one");
  const double dimensions = 2.0 * static_cast<double>(count);
  const auto dimension_of = [&](double turns) {
    return dimensions * std::log(context / (turns * 2 * std::numbers::pi)) / (2 * std::log(theta));
  };
  const bool whole = value_or<bool>(scaling, "truncate", true, where);
  const double first = std::max(whole ? std::floor(dimension_of(fast)) : dimension_of(fast), 0.0);
  double last = std::min(whole ? std::ceil(dimension_of(slow)) : dimension_of(slow), dimensions - 1);
  if (last == first) last += 0.001;
  for (int64_t i = 0; i < count; ++i) {
    const double stretched = std::clamp((static_cast<double>(i) - first) / (last - first), 0.0, 1.0);
    frequency[i] *= (1 - stretched) + stretched / factor;
  }
  return positive_or(scaling, "attention_factor", factor > 1 ? 0.1 * std::log(factor) + 1 : 1, where);
}

// Everything in there is arithmetic: transformers' keys of other types, and parameters for each type of layer, are none of ours.
void refuse_other_keys(const Json& scaling, const std::string& where) {
  static constexpr std::string_view known[] = {
      "rope_theta",      "rope_type",        "type",      "factor",    original_context,   "partial_rotary_factor",
      "low_freq_factor", "high_freq_factor", "beta_fast", "beta_slow", "attention_factor", "mscale",
      "mscale_all_dim",  "truncate",         "finetuned"};
  for (const auto& [key, value] : scaling.items())
    if (!value.is_null() && std::find(std::begin(known), std::end(known), key) == std::end(known))
      fail(Code::bad_input, str(where, ": ", key), "no such field, as nothing here computes it",
           quote(value.dump(-1, ' ', false, Json::error_handler_t::replace)));
}

}  // namespace

kernels::RopeAngles RopeScaling::angles(const at::Tensor& position, at::ScalarType dtype) const {
  if (!frequency.defined()) return {};
  kernels::RopeAngles made = kernels::rope_angles(position.to(frequency.device()), frequency, dtype);
  if (factor != 1) made = {made.cosine * factor, made.sine * factor};
  return made;
}

RopeScaling read_rope_scaling(const Json& config, int64_t head_dim, const std::string& where) {
  Json scaling = Json::object();
  std::string inner = where;
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const auto found = config.find(key);
    if (found == config.end() || found->is_null() || *found == Json::object()) continue;
    inner = str(where, ": ", key);
    if (!found->is_object()) fail(Code::bad_input, inner, "an object", found->type_name());
    scaling = *found;
    break;
  }
  refuse_other_keys(scaling, inner);
  for (const char* key : {original_context, "max_position_embeddings"})
    if (!scaling.contains(original_context) && config.contains(key) && !config[key].is_null())
      scaling[original_context] = config[key];
  if (const double context = positive_or(config, original_context, 0, where);
      context != 0 && scaling[original_context] != context)
    fail(Code::bad_input, str(inner, ": ", original_context), str(context, ", as the field outside says"),
         quote(scaling[original_context].dump()));
  const double theta =
      scaling.contains("rope_theta") ? positive(scaling, "rope_theta", inner) : positive_or(config, "rope_theta", 10000, where);
  const std::string type =
      value_or<std::string>(scaling, "rope_type", value_or<std::string>(scaling, "type", "default", inner), inner);
  for (const Json* level : {&config, static_cast<const Json*>(&scaling)})
    if (positive_or(*level, "partial_rotary_factor", 1, inner) != 1)
      fail(Code::bad_input, inner + ": partial_rotary_factor", "1", str((*level)["partial_rotary_factor"].get<double>()));

  RopeScaling rope;
  rope.frequency = at::pow(theta, at::arange(0, head_dim, 2, at::TensorOptions(at::kDouble)) / static_cast<double>(-head_dim));
  double* frequency = rope.frequency.mutable_data_ptr<double>();
  if (type == "linear")
    rope.frequency /= positive(scaling, "factor", inner);
  else if (type == "llama3")
    scale_llama3(frequency, head_dim / 2, scaling, inner);
  else if (type == "yarn")
    rope.factor = scale_yarn(frequency, head_dim / 2, theta, scaling, inner);
  else if (type != "default")
    fail(Code::bad_input, inner + ": rope_type", "default, linear, llama3 or yarn", quote(type));
  return rope;
}

}  // namespace dept
