#include "dept/kernels/cross_entropy.h"

#include "kernels/siblings.h"

namespace dept::kernels {

at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& labels, at::Tensor* d_logits, double smoothing,
                         Kernels kernels) {
  constexpr std::string_view where = "cross_entropy";
  expect(
      logits.dim() == 2 && logits.is_contiguous() && (logits.scalar_type() == at::kFloat || logits.scalar_type() == at::kDouble),
      where, "fp32 or fp64 logits [n, V]", logits);
  expect(labels.dim() == 1 && labels.size(0) == logits.size(0) && labels.scalar_type() == at::kLong && labels.is_contiguous(),
         where, "labels int64 [n]", labels);
  expect_on(at::kCPU, labels, "cross_entropy: labels");
  const int64_t* label = labels.const_data_ptr<int64_t>();
  for (int64_t i = 0, v = logits.size(1); i < labels.size(0); ++i)
    if (label[i] < 0 || label[i] >= v) fail(Code::bad_input, where, str("a label from 0 to ", v - 1), str(label[i]));
  return choose(logits.device(), kernels, cpu::cross_entropy, plain::cross_entropy)(logits, labels, d_logits, smoothing);
}

}  // namespace dept::kernels
