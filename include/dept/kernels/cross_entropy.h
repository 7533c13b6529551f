// Cross-entropy over the vocabulary, at label tokens only.
#pragma once

#include <ATen/core/Tensor.h>

namespace dept::kernels {

/// nll[i] = log sum_v exp(logits[i, v]) - logits[i, labels[i]].
/// logits fp32 or fp64 [n, V], labels int64 [n] within [0, V); returns [n] of logits' dtype.
/// With `d_logits` also the gradient of sum(nll): softmax(logits) - onehot(labels), [n, V].
/// Throws bug for other shapes or dtypes, bad_input for a label outside the vocabulary.
at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& labels, at::Tensor* d_logits = nullptr);

}  // namespace dept::kernels
