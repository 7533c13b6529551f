// How far rotary angles turn at each position: the plain frequencies (Su et al. 2021) and what longer contexts make of them.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "dept/base/json.h"
#include "dept/kernels/rope.h"

namespace dept {

struct RopeScaling {
  at::Tensor frequency;  ///< fp64 [K/2]; undefined: no rotation
  double factor = 1;     ///< cosine and sine are multiplied with it (YaRN)

  /// position int64 [N] -> its angles in `dtype`
  kernels::RopeAngles angles(const at::Tensor& position, at::ScalarType dtype) const;
};

/// rope_parameters as transformers 5 writes them, rope_theta and rope_scaling as 4 does; head_dim is K. rope_type default,
/// linear, llama3 or yarn (Peng et al., arXiv 2309.00071); throws bad_input for others and for missing or impossible fields.
RopeScaling read_rope_scaling(const Json& config, int64_t head_dim, const std::string& where);

}  // namespace dept
