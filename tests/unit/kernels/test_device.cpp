// The choice among an operator's siblings, and tensors that no sibling takes.
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "dept/kernels/argmax.h"
#include "dept/kernels/cross_entropy.h"
#include "dept/kernels/frozen_linear.h"
#include "dept/kernels/layer_norm.h"
#include "dept/kernels/rms_norm.h"
#include "kernels/siblings.h"
#include "unit/kernels/support.h"

namespace dept::kernels {
namespace {

using testing::HasSubstr;

const at::Device elsewhere(at::kMeta);  // memory that nobody can read

// What an operator says of tensors that it does not take.
std::string refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::bug);
    return error.what();
  }
  return "no exception";
}

TEST(Device, ChoosesOwnKernelsWhereThereAreAny) {
  const auto on_cpu = +[] { return 1; }, plain = +[] { return 2; }, on_cuda = +[] { return 3; };
  EXPECT_EQ(choose(at::kCPU, Kernels::own, on_cpu, plain, on_cuda)(), 1);
  EXPECT_EQ(choose(at::kCUDA, Kernels::own, on_cpu, plain, on_cuda)(), 3);
  EXPECT_EQ(choose(at::kCUDA, Kernels::own, on_cpu, plain)(), 2);
  EXPECT_EQ(choose(at::kPrivateUse1, Kernels::own, on_cpu, plain, on_cuda)(), 2);
  for (const at::DeviceType device : {at::kCPU, at::kCUDA})
    EXPECT_EQ(choose(device, Kernels::plain, on_cpu, plain, on_cuda)(), 2);
  EXPECT_THROW(choose(elsewhere, Kernels::own, on_cpu, plain), Error);
}

#ifndef DEPT_CUDA_KERNELS
TEST(Device, ABuildWithoutCudaKernelsSaysSo) {
  const at::Tensor x = at::ones({2, 3});
  try {
    DEPT_CUDA_KERNEL(rms_norm)(x, x[0], 1e-5, at::kFloat, nullptr);
    FAIL() << "no exception";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::usage);
    EXPECT_STREQ(error.what(), "[rms_norm] expected a build with CUDA kernels (scripts/build.sh cuda), received one without");
  }
}
#endif

// Every operator with one tensor on another device than the rest, and with all of them there.
struct OperatorCall {
  const char* name;
  std::function<void(at::Device first, at::Device others)> run;
};

at::Tensor made(at::IntArrayRef shape, at::Device device, at::ScalarType dtype = at::kFloat) {
  return at::zeros(shape, at::TensorOptions(dtype)).to(device);
}

const std::vector<OperatorCall> calls = {
    {"rms_norm",
     [](auto x, auto y) {
       rms_norm(made({2, 8}, x), made({8}, y), 1e-5, at::kFloat, nullptr);
     }},
    {"rms_norm_backward",
     [](auto x, auto y) {
       at::Tensor dx = made({2, 8}, x);
       rms_norm_backward(made({2, 8}, y), {made({2, 8}, y), made({2}, y)}, made({8}, y), dx);
     }},
    {"layer_norm",
     [](auto x, auto y) {
       layer_norm(made({2, 8}, x), made({8}, y), made({8}, y), 1e-5, at::kFloat, nullptr);
     }},
    {"layer_norm_backward",
     [](auto x, auto y) {
       at::Tensor dx = made({2, 8}, x);
       layer_norm_backward(made({2, 8}, y), {made({2, 8}, y), made({2}, y)}, made({8}, y), dx);
     }},
    {"add_dropout",
     [](auto x, auto y) {
       add_dropout(made({2, 8}, x), made({2, 8}, y), {});
     }},
    {"activation_backward",
     [](auto x, auto y) {
       activation_backward(Activation::gelu, made({2, 8}, x), made({2, 8}, y), {});
     }},
    {"gated_activation_backward",
     [](auto x, auto y) {
       gated_activation_backward(Activation::silu, made({2, 8}, x), made({2, 16}, y), {});
     }},
    {"relu_dropout_backward",
     [](auto x, auto y) {
       at::Tensor d = made({2, 8}, x);
       relu_dropout_backward(d, {}, made({2, 1}, y, at::kByte));
     }},
    {"attention",
     [](auto x, auto y) {
       const at::Tensor k = made({2, 1, 32}, y);
       attention({made({2, 1, 32}, x), k, k}, {{0, 2, 0, 2}}, {}, nullptr);
     }},
    {"attention_backward",
     [](auto x, auto y) {
       const at::Tensor k = made({2, 1, 32}, y);
       attention_backward(made({2, 32}, x), made({1, 2}, y), {k, k, k}, {{0, 2, 0, 2}}, {}, {k, k, k, {}});
     }},
    {"rope",
     [](auto x, auto y) {
       at::Tensor heads = made({2, 1, 32}, x);
       rope(heads, {made({2, 16}, y), made({2, 16}, y)}, false);
     }},
    {"FrozenLinear",
     [](auto x, auto y) {
       FrozenLinear(FrozenMatrix(made({32, 32}, x))).forward(made({2, 32}, y));
     }},
    {"FrozenLinear",
     [](auto x, auto y) {
       FrozenLinear(FrozenMatrix(made({32, 32}, y))).add_forward(made({2, 32}, x), made({2, 32}, y), {});
     }},
    {"FrozenMatrix",
     [](auto x, auto y) {
       FrozenMatrix(made({4, 8}, x)).select(made({2}, y, at::kLong), at::kFloat);
     }},
};

TEST(Device, MixedDevicesAreOneClearError) {
  for (const OperatorCall& call : calls) {
    for (const auto& [first, others] : {std::pair{at::Device(at::kCPU), elsewhere}, {elsewhere, at::Device(at::kCPU)}}) {
      const std::string said = refusal([&] { call.run(first, others); });
      EXPECT_THAT(said, HasSubstr(call.name));
      EXPECT_THAT(said, HasSubstr("expected all tensors on ")) << call.name;
    }
  }
}

TEST(Device, LabelsAreReadOnTheHost) {
  EXPECT_THAT(refusal([] {
                cross_entropy(made({2, 8}, at::kCPU), made({2}, elsewhere, at::kLong));
              }),
              HasSubstr("labels] expected all tensors on cpu"));
}

TEST(Device, OneWithoutMemoryIsOneClearError) {
  const auto refuses = [](const std::function<void()>& call) { EXPECT_THAT(refusal(call), HasSubstr("received meta")); };
  for (const OperatorCall& call : calls)
    if (std::string_view(call.name).substr(0, 6) != "Frozen") refuses([&] { call.run(elsewhere, elsewhere); });
  refuses([] { activation(Activation::gelu, made({2, 8}, elsewhere), {}); });
  refuses([] { gated_activation(Activation::silu, made({2, 8}, elsewhere), {}); });
  refuses([] {
    at::Tensor x = made({2, 8}, elsewhere);
    relu_dropout(x, {}, nullptr);
  });
  refuses([] { kernels::argmax(made({2, 8}, elsewhere)); });
  refuses([] { cross_entropy(made({2, 8}, elsewhere), made({2}, at::kCPU, at::kLong)); });
  const Ragged tokens = test::ragged({2});
  const Dropout dropout(test::training_call(), tokens, 0.1, 0, Site::embedding);
  refuses([&] { apply_dropout(made({2, 8}, elsewhere), dropout); });
  refuses([&] { add_dropout_backward(made({2, 8}, elsewhere), dropout, at::kFloat); });
}

}  // namespace
}  // namespace dept::kernels
