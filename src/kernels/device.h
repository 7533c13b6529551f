// The one place that chooses between a kernel's siblings by the tensors' device: x.cpp (always built) and x.cu or x.cuda.cpp (in
// the cuda preset; elsewhere no_cuda.cpp stands for all of them and says so).
#pragma once

#include <ATen/core/Tensor.h>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/kernels/rms_norm.h"

namespace dept::kernels {

namespace cpu {
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, at::ScalarType dtype, RmsNormSaved* saved);
void rms_norm_backward(const at::Tensor& dy, const RmsNormSaved& saved, const at::Tensor& weight, at::Tensor& dx);
}  // namespace cpu

// Shapes and dtypes are checked before the choice; these rely on it.
namespace cuda {
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, at::ScalarType dtype, RmsNormSaved* saved);
void rms_norm_backward(const at::Tensor& dy, const RmsNormSaved& saved, const at::Tensor& weight, at::Tensor& dx);
}  // namespace cuda

/// The sibling for the device that `tensor` is on. Throws bug for a device without kernels.
template <class F>
F* by_device(const at::Tensor& tensor, F* on_cpu, F* on_cuda) {
  if (tensor.is_cpu()) return on_cpu;
  if (tensor.is_cuda()) return on_cuda;
  fail(Code::bug, "kernels", "a tensor on cpu or cuda", dept::str(tensor.device()));
}

}  // namespace dept::kernels
