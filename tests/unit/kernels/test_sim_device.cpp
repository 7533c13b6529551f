// What the simulated device catches and counts.
#include <ATen/ops/linear.h>
#include <gtest/gtest.h>

#include <cstdio>

#include "support/sim_device.h"
#include "unit/kernels/support.h"

namespace dept {
namespace {

TEST(SimDevice, ComputesAsTheCpuAndCountsWhatWaits) {
  const at::Tensor x = at::randn({5, 8}), w = at::randn({6, 8}), there = x.to(sim::device());
  sim::counts() = {};
  const at::Tensor y = at::linear(there, w.to(sim::device())).slice(1, 1, 4).t().contiguous();
  EXPECT_EQ(sim::counts().to_device, 1);
  EXPECT_EQ(sim::counts().to_host, 0);
  EXPECT_TRUE(y.cpu().equal(at::linear(x, w).slice(1, 1, 4).t()));
  EXPECT_EQ(there[2][3].item<float>(), x[2][3].item<float>());
  EXPECT_EQ(sim::counts().to_host, 2);
}

TEST(SimDevice, RefusesTensorsOfTheCpuBesideItsOwn) {
  const at::Tensor x = at::randn({5, 8}), there = x.to(sim::device());
  EXPECT_THROW(at::linear(there, x), c10::Error);
  EXPECT_THROW(there.index_select(0, at::tensor({1, 2}, at::kLong)), c10::Error);
}

TEST(SimDeviceDeathTest, PointersToItsMemoryDie) {
  const at::Tensor there = at::randn({5, 8}).to(sim::device());
  EXPECT_DEATH(std::printf("%f", there.const_data_ptr<float>()[0]), "");
  EXPECT_DEATH(there.mutable_data_ptr<float>()[0] = 1, "");
}

}  // namespace
}  // namespace dept
