// Builds without CUDA kernels say so.
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include "kernels/device.h"

namespace dept::kernels {
namespace {

TEST(NoCuda, ABuildWithoutCudaKernelsSaysSo) {
  const at::Tensor x = at::ones({2, 3});
  try {
    cuda::rms_norm(x, x[0], 1e-5, at::kFloat, nullptr);
    FAIL() << "no exception";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::usage);
    EXPECT_STREQ(error.what(), "[rms_norm] expected a build with CUDA kernels (scripts/build.sh cuda), received one without");
  }
}

}  // namespace
}  // namespace dept::kernels
