// The choice between a kernel's siblings.
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include "kernels/device.h"

namespace dept::kernels {
namespace {

TEST(Device, ChoosesByDeviceAndRefusesOthers) {
  const auto on_cpu = +[] { return 1; }, on_cuda = +[] { return 2; };
  EXPECT_EQ(by_device(at::ones({1}), on_cpu, on_cuda)(), 1);
  EXPECT_THROW(by_device(at::ones({1}, at::Device(at::kMeta)), on_cpu, on_cuda), Error);
}

}  // namespace
}  // namespace dept::kernels
