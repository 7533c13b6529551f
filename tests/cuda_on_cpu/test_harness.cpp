// What the harness itself does and catches.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "cuda_on_cpu.h"

namespace {

void sum_of_a_warp(const float* x, float* y) {
  float value = x[threadIdx.x];
  for (unsigned half = 16; half > 0; half /= 2) value += __shfl_xor_sync(~0U, value, half);
  y[threadIdx.x] = value;
}
void forgets_a_barrier(float* y) {
  auto& partial = cuda_on_cpu::shared<float[64]>(__LINE__);
  partial[threadIdx.x] = static_cast<float>(threadIdx.x);
  y[threadIdx.x] = partial[63 - threadIdx.x];
}
void keeps_its_barrier(float* y) {
  auto& partial = cuda_on_cpu::shared<float[64]>(__LINE__);
  partial[threadIdx.x] = static_cast<float>(threadIdx.x);
  __syncthreads();
  y[threadIdx.x] = partial[63 - threadIdx.x];
}
void reads_what_nobody_wrote(float* y) {
  y[threadIdx.x] = reinterpret_cast<float*>(cuda_on_cpu::dynamic_shared())[threadIdx.x];
}
void barrier_of_some() {
  if (threadIdx.x < 10) __syncthreads();
}
void shuffle_of_some(float* y) {
  if (threadIdx.x < 16) y[threadIdx.x] = __shfl_xor_sync(~0U, 1.0F, 1U);
}

TEST(CudaOnCpu, WarpsExchangeAndBlocksHaveMemory) {
  std::vector<float> x(64), y(64);
  for (int i = 0; i < 64; ++i) x[i] = static_cast<float>(i);
  cuda_on_cpu::launch(sum_of_a_warp, 1, 64)(x.data(), y.data());
  EXPECT_EQ(y[5], 31 * 16);
  EXPECT_EQ(y[40], 31 * 16 + 32 * 32);
  for (const auto ahead : {cuda_on_cpu::Ahead::first_warp, cuda_on_cpu::Ahead::last_warp}) {
    cuda_on_cpu::ahead = ahead;
    cuda_on_cpu::launch(keeps_its_barrier, 3, 64)(y.data());
    for (int i = 0; i < 64; ++i) EXPECT_EQ(y[i], static_cast<float>(63 - i));
  }
  cuda_on_cpu::launch(reads_what_nobody_wrote, 1, 32, 128)(y.data());
  EXPECT_TRUE(std::isnan(y[31]));
}

TEST(CudaOnCpu, AMissingBarrierShowsInEitherOrder) {
  for (const auto ahead : {cuda_on_cpu::Ahead::first_warp, cuda_on_cpu::Ahead::last_warp}) {
    cuda_on_cpu::ahead = ahead;
    std::vector<float> y(64);
    cuda_on_cpu::launch(forgets_a_barrier, 1, 64)(y.data());
    EXPECT_TRUE(std::isnan(y[0]) || std::isnan(y[63]));
  }
}

TEST(CudaOnCpuDeathTest, WhatAGpuHangsOnOrRefuses) {
  std::vector<float> y(64);
  EXPECT_DEATH(cuda_on_cpu::launch(barrier_of_some, 1, 64)(), "a barrier that not all threads");
  EXPECT_DEATH(cuda_on_cpu::launch(shuffle_of_some, 1, 32)(y.data()), "a warp function that not all lanes");
  EXPECT_DEATH(cuda_on_cpu::launch(keeps_its_barrier, 1, 2048)(y.data()), "more than 1024");
  EXPECT_DEATH(cuda_on_cpu::launch(keeps_its_barrier, dim3(1, 70000), 64)(y.data()), "65535");
}

}  // namespace
