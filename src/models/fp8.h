// Checkpoints whose matrices are stored in 8-bit floating point, each with the scale that was divided out of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "dept/models/model_files.h"

namespace dept {

/// quantization_config with the method "fp8", as transformers' FineGrainedFP8Config writes it.
struct Fp8Config {
  int64_t block_rows = 0, block_columns = 0;  ///< of a matrix with one scale; 0: one scale a matrix
};

/// Empty when the configuration names no quantisation. Throws bad_input for another method than "fp8".
std::optional<Fp8Config> read_fp8_config(const Json& config, const std::string& where);

/// The tensor `name` as `dtype`; an 8-bit NAME.weight is multiplied with NAME.weight_scale_inv or NAME.weight_scale, in fp32: one
/// number, or one for each block of the matrix, the last blocks of a row or column being cut. What it reads, and the scales of
/// activations that are rounded nowhere here, is added to `names`. Throws bad_input as TensorSource::read does, and for an
/// 8-bit matrix without a scale of the right shape.
at::Tensor read_fp8(const TensorSource& weights, const Fp8Config& config, const std::string& name, at::IntArrayRef shape,
                    at::ScalarType dtype, TensorNames& names);

}  // namespace dept
