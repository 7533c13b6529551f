#include "models/rope_scaling.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/tensor/upload.h"

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

// LongRoPE: each frequency has two divisors, for short texts and for long ones.
void scale_longrope(RopeScaling& rope, const Json& scaling, const Json& config, const std::string& where) {
  const int64_t count = rope.frequency.numel();
  const auto divided = [&](const char* key) {
    const auto divisors = require<std::vector<double>>(scaling, key, where);
    if (static_cast<int64_t>(divisors.size()) != count)
      fail(Code::bad_input, str(where, ": ", key), str(count, " numbers"), str(divisors.size()));
    for (const double divisor : divisors)
      if (!(divisor > 0 && std::isfinite(divisor)))
        fail(Code::bad_input, str(where, ": ", key), "positive numbers", str(divisor));
    return rope.frequency / at::tensor(divisors, at::kDouble);
  };
  const double context = positive(scaling, original_context, where);
  rope.short_positions = static_cast<int64_t>(context);
  rope.long_frequency = divided("long_factor");
  rope.frequency = divided("short_factor");
  const double factor =
      positive_or(scaling, "factor", positive_or(config, "max_position_embeddings", context, where) / context, where);
  rope.factor =
      positive_or(scaling, "attention_factor", factor > 1 ? std::sqrt(1 + std::log(factor) / std::log(context)) : 1, where);
}

// Everything in there is arithmetic: transformers' keys of other types, and parameters for each type of layer, are none of ours.
void refuse_other_keys(const Json& scaling, const std::string& type, const std::string& where) {
  static constexpr std::string_view known[] = {
      "rope_theta",      "rope_type",        "type",      "factor",    original_context,   "partial_rotary_factor",
      "low_freq_factor", "high_freq_factor", "beta_fast", "beta_slow", "attention_factor", "mscale",
      "mscale_all_dim",  "truncate",         "finetuned"};
  for (const auto& [key, value] : scaling.items()) {
    const bool of_longrope = type == "longrope" && (key == "short_factor" || key == "long_factor");
    if (!value.is_null() && !of_longrope && std::find(std::begin(known), std::end(known), key) == std::end(known))
      fail(Code::bad_input, str(where, ": ", key), "no such field, as nothing here computes it",
           quote(value.dump(-1, ' ', false, Json::error_handler_t::replace)));
  }
}

// The numbers of a head that are rotated.
int64_t rotated(const Json& config, const Json& scaling, int64_t head_dim, const std::string& where,
                const RopeDefaults& defaults) {
  const char* inside = "partial_rotary_factor";
  const double outer = positive_or(config, defaults.partial_key, defaults.partial_factor, where),
               share = positive_or(scaling, inside, outer, where);
  if (share > 1 || (!defaults.partial && (share != 1 || outer != 1)))
    fail(Code::bad_input, str(where, ": ", inside), defaults.partial ? "above 0, at most 1" : "1",
         str(share != 1 ? share : outer));
  const auto count = static_cast<int64_t>(static_cast<double>(head_dim) * share);
  if (count < 2 || count % 2 != 0)
    fail(Code::bad_input, str(where, ": ", inside), str("an even number of a head's ", head_dim, " dimensions"), str(count));
  return count;
}

}  // namespace

RopeScaling RopeScaling::to(at::Device device) const {
  RopeScaling moved = *this;
  moved.frequency = frequency.to(device);
  if (by_length()) moved.long_frequency = long_frequency.to(device);
  return moved;
}

kernels::RopeAngles RopeScaling::angles(const Ragged& tokens, at::ScalarType dtype) const {
  const at::Tensor position = upload_positions(tokens, frequency.device());
  kernels::RopeAngles made = kernels::rope_angles(position, frequency, dtype);
  if (by_length()) {
    std::vector<int64_t> rows;
    const int64_t* places = tokens.position.const_data_ptr<int64_t>();
    for (int64_t b = 0; b < tokens.batch(); ++b) {
      const int64_t begin = tokens.offsets[b], end = tokens.offsets[b + 1];
      if (end > begin && is_long(*std::max_element(places + begin, places + end) + 1))
        for (int64_t n = begin; n < end; ++n) rows.push_back(n);
    }
    if (!rows.empty()) {
      const at::Tensor index = upload(rows, position.device());
      const kernels::RopeAngles longer = kernels::rope_angles(position.index_select(0, index), long_frequency, dtype);
      made.cosine.index_copy_(0, index, longer.cosine);
      made.sine.index_copy_(0, index, longer.sine);
    }
  }
  if (factor != 1) made = {made.cosine * factor, made.sine * factor};
  return made;
}

RopeScaling read_rope_scaling(const Json& config, int64_t head_dim, const std::string& where, const RopeDefaults& defaults) {
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
  const std::string type =
      value_or<std::string>(scaling, "rope_type", value_or<std::string>(scaling, "type", "default", inner), inner);
  refuse_other_keys(scaling, type, inner);
  for (const char* key : {original_context, "max_position_embeddings"})
    if (!scaling.contains(original_context) && config.contains(key) && !config[key].is_null())
      scaling[original_context] = config[key];
  if (const double context = positive_or(config, original_context, 0, where);
      context != 0 && scaling[original_context] != context)
    fail(Code::bad_input, str(inner, ": ", original_context), str(context, ", as the field outside says"),
         quote(scaling[original_context].dump()));
  const double theta = scaling.contains("rope_theta") ? positive(scaling, "rope_theta", inner)
                                                      : positive_or(config, defaults.theta_key, defaults.theta, where);
  const int64_t dimensions = rotated(config, scaling, head_dim, inner, defaults);

  RopeScaling rope;
  rope.frequency =
      at::pow(theta, at::arange(0, dimensions, 2, at::TensorOptions(at::kDouble)) / static_cast<double>(-dimensions));
  double* frequency = rope.frequency.mutable_data_ptr<double>();
  if (type == "linear")
    rope.frequency /= positive(scaling, "factor", inner);
  else if (type == "llama3")
    scale_llama3(frequency, dimensions / 2, scaling, inner);
  else if (type == "yarn")
    rope.factor = scale_yarn(frequency, dimensions / 2, theta, scaling, inner);
  else if (type == "longrope")
    scale_longrope(rope, scaling, config, inner);
  else if (type != "default")
    fail(Code::bad_input, inner + ": rope_type", "default, linear, llama3, yarn or longrope", quote(type));
  return rope;
}

Json with_rotation_of(const Json& config, std::string_view layer_type, const std::string& where) {
  Json own = config;
  own.erase("rope_parameters");
  const auto found = config.find("rope_parameters");
  if (found == config.end() || found->is_null()) return own;
  if (!found->is_object()) fail(Code::bad_input, where + ": rope_parameters", "an object", found->type_name());
  for (const auto& [key, value] : found->items()) {
    if (key != "full_attention" && key != "sliding_attention")
      fail(Code::bad_input, where + ": rope_parameters", "full_attention and sliding_attention", quote(key));
    if (key == layer_type) own["rope_parameters"] = value;
  }
  return own;
}

}  // namespace dept
