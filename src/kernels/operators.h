// The operators as each backend has them: cpu (our own kernels), plain (ATen's operators, on any device) and cuda (.cu files,
// built by the cuda preset). What they are given has been checked by the operator's door (dept/kernels/*.h, implemented in
// src/kernels/NAME.cpp).
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "dept/kernels/activation.h"
#include "dept/kernels/attention.h"
#include "dept/kernels/disentangled_attention.h"
#include "dept/kernels/dropout.h"
#include "dept/kernels/norm_saved.h"
#include "dept/kernels/rope.h"

namespace dept::kernels {

#define DEPT_OPERATOR(result, name, parameters) \
  namespace cpu {                               \
  result name parameters;                       \
  }                                             \
  namespace plain {                             \
  result name parameters;                       \
  }                                             \
  namespace cuda {                              \
  result name parameters;                       \
  }

DEPT_OPERATOR(at::Tensor, rms_norm,
              (const at::Tensor& x, const at::Tensor& weight, double eps, at::ScalarType dtype, NormSaved* saved))
DEPT_OPERATOR(void, rms_norm_backward, (const at::Tensor& dy, const NormSaved& saved, const at::Tensor& weight, at::Tensor& dx))

DEPT_OPERATOR(at::Tensor, layer_norm,
              (const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, double eps, at::ScalarType dtype,
               NormSaved* saved))
DEPT_OPERATOR(void, layer_norm_backward, (const at::Tensor& dy, const NormSaved& saved, const at::Tensor& weight, at::Tensor& dx))

DEPT_OPERATOR(at::Tensor, add_dropout, (const at::Tensor& x, const at::Tensor& branch, const Dropout& dropout))
DEPT_OPERATOR(at::Tensor, drop, (const at::Tensor& x, const Dropout& dropout, at::ScalarType dtype))

DEPT_OPERATOR(at::Tensor, activation, (Activation f, const at::Tensor& x, const Dropout& dropout))
DEPT_OPERATOR(at::Tensor, activation_backward, (Activation f, const at::Tensor& d, const at::Tensor& x, const Dropout& dropout))
DEPT_OPERATOR(at::Tensor, gated_activation, (Activation f, const at::Tensor& gate_up, const Dropout& dropout))
DEPT_OPERATOR(at::Tensor, gated_activation_backward,
              (Activation f, const at::Tensor& d, const at::Tensor& gate_up, const Dropout& dropout))
DEPT_OPERATOR(void, relu_dropout, (at::Tensor & x, const Dropout& dropout, at::Tensor* kept))
DEPT_OPERATOR(void, relu_dropout_backward, (at::Tensor & d, const Dropout& dropout, const at::Tensor& kept))

DEPT_OPERATOR(at::Tensor, attention,
              (const AttentionInputs& in, const std::vector<AttentionSpan>& spans, const AttentionOptions& options,
               at::Tensor* lse))
DEPT_OPERATOR(void, attention_backward,
              (const at::Tensor& d_out, const at::Tensor& lse, const AttentionInputs& in, const std::vector<AttentionSpan>& spans,
               const AttentionOptions& options, const AttentionGradients& to))

DEPT_OPERATOR(at::Tensor, disentangled_attention,
              (const DisentangledInputs& in, const std::vector<AttentionSpan>& spans, const AttentionOptions& options))
DEPT_OPERATOR(void, disentangled_attention_backward,
              (const at::Tensor& d_out, const DisentangledInputs& in, const std::vector<AttentionSpan>& spans,
               const AttentionOptions& options, const AttentionGradients& to))

DEPT_OPERATOR(void, rope, (at::Tensor & x, const RopeAngles& angles, bool inverse))

DEPT_OPERATOR(at::Tensor, cross_entropy,
              (const at::Tensor& logits, const at::Tensor& labels, at::Tensor* d_logits, double smoothing))

DEPT_OPERATOR(at::Tensor, argmax, (const at::Tensor& logits))

DEPT_OPERATOR(at::Tensor, row_sums, (const at::Tensor& x, const std::vector<int64_t>& to, int64_t rows))

#undef DEPT_OPERATOR

}  // namespace dept::kernels
