// Cross-entropy over the vocabulary, at label tokens only.
#pragma once

#include <ATen/core/Tensor.h>

#include "dept/tensor/context.h"

namespace dept::kernels {

/// nll[i] = log sum_v exp(logits[i, v]) - (1 - smoothing) logits[i, labels[i]] - smoothing mean_v logits[i, v]
/// (label smoothing, arXiv 1512.00567, as transformers' LabelSmoother has it).
/// logits fp32 or fp64 [n, V], labels int64 [n] within [0, V), on the CPU, where they are checked; returns [n] of logits' dtype.
/// With `d_logits` also the gradient of sum(nll): softmax(logits) - (1 - smoothing) onehot(labels) - smoothing / V,
/// [n, V].
/// Throws bug for other shapes or dtypes, bad_input for a label outside the vocabulary.
at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& labels, at::Tensor* d_logits = nullptr, double smoothing = 0,
                         Kernels kernels = Kernels::own);

}  // namespace dept::kernels
