// How far rotary angles turn at each position: the plain frequencies (Su et al. 2021) and what longer contexts make of them.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <string_view>

#include "dept/base/json.h"
#include "dept/kernels/rope.h"
#include "dept/tensor/ragged.h"

namespace dept {

struct RopeScaling {
  at::Tensor frequency;  ///< fp64 [R/2], R of a head's K numbers being rotated
  double factor = 1;     ///< cosine and sine are multiplied with it (YaRN, LongRoPE)

  // LongRoPE (Ding et al., arXiv 2402.13753): sequences of more than `short_positions` have frequencies of their own.
  at::Tensor long_frequency;  ///< like frequency; undefined: one for all lengths
  int64_t short_positions = 0;

  bool by_length() const { return long_frequency.defined(); }
  bool is_long(int64_t positions) const { return by_length() && positions > short_positions; }
  RopeScaling to(at::Device device) const;

  /// The angles at the tokens' positions, in `dtype`; a sequence has as many positions as its last token counts, and one more.
  kernels::RopeAngles angles(const Ragged& tokens, at::ScalarType dtype) const;
};

/// What a family has where its configuration says nothing.
struct RopeDefaults {
  double theta = 10000;
  bool partial = false;  ///< whether partial_rotary_factor counts; else it must be 1
  double partial_factor = 1;
  const char* theta_key = "rope_theta";
  const char* partial_key = "partial_rotary_factor";
};

/// rope_parameters as transformers 5 writes them, rope_theta and rope_scaling as 4 does; head_dim is K. rope_type default,
/// linear, llama3, yarn (Peng et al., arXiv 2309.00071) or longrope; throws bad_input for others and for missing or impossible
/// fields.
RopeScaling read_rope_scaling(const Json& config, int64_t head_dim, const std::string& where, const RopeDefaults& defaults = {});

/// The configuration with what its rope_parameters say of one type of layer, full_attention or sliding_attention. Throws
/// bad_input for other types.
Json with_rotation_of(const Json& config, std::string_view layer_type, const std::string& where);

}  // namespace dept
