#include <ATen/TensorOperators.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/logsumexp.h>

#include "kernels/operators.h"

namespace dept::kernels::plain {

at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& labels, at::Tensor* d_logits, double smoothing) {
  const at::Tensor label = labels.to(logits.device()).unsqueeze(1), sums = at::logsumexp(logits, {1}, true);
  const at::Tensor chosen = at::gather(logits, 1, label);
  if (d_logits != nullptr) {
    at::Tensor d = at::exp(logits - sums);
    d.scatter_(1, label, d.gather(1, label) - (1 - smoothing));
    *d_logits = smoothing > 0 ? d.sub_(smoothing / static_cast<double>(logits.size(1))) : d;
  }
  at::Tensor nll = sums - (1 - smoothing) * chosen;
  if (smoothing > 0) nll = nll - smoothing * logits.mean(1, true);
  return nll.squeeze(1);
}

at::Tensor argmax(const at::Tensor& logits) {
  return at::argmax(logits, 1);
}

}  // namespace dept::kernels::plain
