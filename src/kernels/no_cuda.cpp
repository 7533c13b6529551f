// Stands for the CUDA kernels in builds without them.
#include "kernels/device.h"

namespace dept::kernels::cuda {
namespace {

[[noreturn]] void no_cuda(std::string_view kernel) {
  fail(Code::usage, kernel, "a build with CUDA kernels (scripts/build.sh cuda)", "one without");
}

}  // namespace

at::Tensor rms_norm(const at::Tensor&, const at::Tensor&, double, at::ScalarType, RmsNormSaved*) {
  no_cuda("rms_norm");
}

void rms_norm_backward(const at::Tensor&, const RmsNormSaved&, const at::Tensor&, at::Tensor&) {
  no_cuda("rms_norm_backward");
}

}  // namespace dept::kernels::cuda
