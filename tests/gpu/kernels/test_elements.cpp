// RMSNorm, dropout and ReLU of the .cu files beside the CPU's kernels. Dropout has the CPU's bits.
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "gpu/kernels/place.h"
#include "kernels/operators.h"
#include "unit/kernels/support.h"

namespace dept::kernels {
namespace {

using dept::test::difference;
using test::there;

class Elements : public testing::TestWithParam<std::tuple<at::ScalarType, test::Ahead>> {
 protected:
  void SetUp() override {
    at::manual_seed(4);
    test::run_in(std::get<1>(GetParam()));
  }
  at::ScalarType branch() const { return std::get<0>(GetParam()); }
  at::ScalarType residual() const { return branch() == at::kDouble ? at::kDouble : at::kFloat; }
  double tolerance() const { return branch() == at::kDouble ? 1e-12 : branch() == at::kFloat ? 1e-5 : 1.0 / 128; }
  at::Tensor branches(at::IntArrayRef shape) const { return at::randn(shape, at::kDouble).to(branch()); }
  at::Tensor residuals(at::IntArrayRef shape) const { return at::randn(shape, at::kDouble).to(residual()); }

  const Ragged tokens_ = dept::test::ragged({5, 0, 1, 9});
  std::vector<Dropout> dropouts() const {
    const auto of = [](const Ragged& tokens) {
      return Dropout(dept::test::training_call(), tokens, 0.3, 2, Site::feed_forward_inner);
    };
    return {Dropout(), of(tokens_), of(dept::test::some_tokens(15))};
  }
};

INSTANTIATE_TEST_SUITE_P(
    Types, Elements, testing::Combine(testing::Values(at::kDouble, at::kFloat, at::kBFloat16), testing::ValuesIn(test::orders)),
    [](const auto& test) { return std::string(dtype_name(std::get<0>(test.param))) + test::name_of(std::get<1>(test.param)); });

TEST_P(Elements, RmsNorm) {
  for (const int64_t d : {1, 7, 256, 300}) {
    const at::Tensor x = residuals({3, d}), w = residuals({d}), dy = branches({3, d}), base = residuals({3, d});
    NormSaved here, saved;
    const at::Tensor y = cpu::rms_norm(x, w, 1e-6, branch(), &here);
    const at::Tensor by_cuda = cuda::rms_norm(there(x), there(w), 1e-6, branch(), &saved);
    EXPECT_EQ(by_cuda.scalar_type(), branch());
    EXPECT_LT(difference(by_cuda.cpu(), y), tolerance()) << d;
    EXPECT_LT(difference(saved.normalised.cpu(), here.normalised), tolerance()) << d;
    EXPECT_LT(difference(saved.rstd.cpu(), here.rstd), 1e-6) << d;
    at::Tensor dx = base.clone(), dz = there(base).clone();
    cpu::rms_norm_backward(dy, here, w, dx);
    cuda::rms_norm_backward(there(dy), {there(here.normalised), there(here.rstd)}, there(w), dz);
    EXPECT_LT(difference(dz.cpu(), dx), tolerance()) << d;
  }
  EXPECT_EQ(cuda::rms_norm(there(residuals({0, 8})), there(residuals({8})), 1e-6, branch(), nullptr).size(0), 0);
}

TEST_P(Elements, DropoutHasTheBitsOfTheCpu) {
  for (const int64_t d : {1, 8, 37}) {
    const at::Tensor x = residuals({15, d}), y = branches({15, d});
    for (const Dropout& drops : dropouts()) {
      const at::Tensor sum = cuda::add_dropout(there(x), there(y), drops).cpu();
      EXPECT_TRUE(at::equal(sum, plain::add_dropout(x, y, drops))) << d;
      EXPECT_LT(difference(sum, cpu::add_dropout(x, y, drops)), 1e-6) << d;
      if (!drops) continue;
      EXPECT_TRUE(at::equal(cuda::drop(there(y), drops, branch()).cpu(), cpu::drop(y, drops, branch()))) << d;
      EXPECT_TRUE(at::equal(cuda::drop(there(x), drops, branch()).cpu(), cpu::drop(x, drops, branch()))) << d;
    }
  }
}

TEST_P(Elements, ReluHasTheBitsOfTheCpu) {
  for (const int64_t f : {1, 16, 37}) {
    const at::Tensor x = branches({15, f}), d = branches({15, f});
    for (const Dropout& drops : dropouts()) {
      at::Tensor y = x.clone(), by_cuda = there(x).clone(), kept, kept_there, dx = d.clone(), dz = there(d).clone();
      cpu::relu_dropout(y, drops, &kept);
      cuda::relu_dropout(by_cuda, drops, &kept_there);
      EXPECT_TRUE(at::equal(y, by_cuda.cpu())) << f;
      EXPECT_TRUE(at::equal(kept, kept_there.cpu())) << f;
      cpu::relu_dropout_backward(dx, drops, kept);
      cuda::relu_dropout_backward(dz, drops, kept_there);
      EXPECT_TRUE(at::equal(dx, dz.cpu())) << f;
      at::Tensor alone = there(x).clone();
      cuda::relu_dropout(alone, drops, nullptr);
      EXPECT_TRUE(at::equal(alone.cpu(), y)) << f;
    }
  }
}

}  // namespace
}  // namespace dept::kernels
