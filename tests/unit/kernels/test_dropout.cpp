#include <ATen/ops/cat.h>
#include <ATen/ops/relu.h>
#include <gtest/gtest.h>

#include "dept/kernels/activation.h"
#include "dept/kernels/dropout.h"
#include "unit/kernels/support.h"

namespace dept::kernels {
namespace {

using test::difference;

TEST(Dropout, NumbersAreThoseOfTheStreamWhereverARunBegins) {
  const DropoutStream stream(123456789012345, 17, 99, 3, Site::feed_forward_inner);
  for (const uint64_t first : {uint64_t{0}, uint64_t{5}, uint64_t{1021}, (uint64_t{1} << 35) - 3}) {
    std::vector<uint16_t> numbers(300);
    dropout_numbers(stream, first, 300, numbers.data());
    for (size_t i = 0; i < numbers.size(); ++i) ASSERT_EQ(numbers[i], stream.number(first + i)) << first << " + " << i;
  }
}

TEST(Dropout, EachCoordinateGivesAnotherStream) {
  const DropoutStream base(1, 2, 3, 4, Site::embedding);
  for (const DropoutStream& other : {DropoutStream(2, 2, 3, 4, Site::embedding), DropoutStream(1, 3, 3, 4, Site::embedding),
                                     DropoutStream(1, 2, 4, 4, Site::embedding), DropoutStream(1, 2, 3, 5, Site::embedding),
                                     DropoutStream(1, 2, 3, 4, Site::final_output)})
    EXPECT_NE(base.block(0), other.block(0));
}

TEST(Dropout, KeepsTheMeanAndTheShareOfElements) {
  const Ragged tokens = test::ragged({400, 600});
  const Dropout dropout(test::training_call(), tokens, 0.1, 0, Site::embedding);
  const at::Tensor y = apply_dropout(at::ones({1000, 64}), dropout);
  EXPECT_NEAR((y == 0).to(at::kDouble).mean().item<double>(), 0.1, 0.004);
  EXPECT_NEAR(y.mean().item<double>(), 1.0, 0.005);
}

TEST(Dropout, ARowOfABatchEqualsTheRowAlone) {
  const Call call = test::training_call();
  const Ragged both = test::ragged({3, 5});
  Ragged second;
  second.append(5, both.example[1]);
  const at::Tensor x = at::randn({8, 21}), branch = at::randn({8, 21});
  const at::Tensor together = add_dropout(x, branch, Dropout(call, both, 0.4, 6, Site::self_attention_output));
  const at::Tensor alone = add_dropout(x.slice(0, 3).contiguous(), branch.slice(0, 3).contiguous(),
                                       Dropout(call, second, 0.4, 6, Site::self_attention_output));
  EXPECT_TRUE(together.slice(0, 3).equal(alone));
  EXPECT_FALSE(together.equal(x + branch));
}

TEST(Dropout, SomeTokensKeepTheirBits) {
  const Call call = test::training_call();
  const Ragged all = test::ragged({3, 0, 5});
  const std::vector<int64_t> chosen = {0, 2, 3, 4, 7};
  const Ragged some = all.some_tokens(chosen);
  EXPECT_EQ(some.offsets, (std::vector<int64_t>{0, 1, 2, 4, 5}));
  EXPECT_EQ(some.skipped, (std::vector<int64_t>{0, 2, 0, 4}));
  EXPECT_EQ(some.example, (std::vector<int64_t>{7, 7, 9, 9}));
  const auto dropped = [&](const Ragged& tokens) {
    return apply_dropout(at::ones({tokens.tokens(), 37}), Dropout(call, tokens, 0.4, 6, Site::feed_forward_output));
  };
  EXPECT_TRUE(dropped(all).index_select(0, at::tensor(chosen)).equal(dropped(some)));
  EXPECT_TRUE(dropped(some).slice(0, 3).equal(dropped(some.some_tokens({3, 4}))));
}

TEST(Dropout, BackwardUsesTheMaskOfForward) {
  const Dropout dropout(test::training_call(), test::ragged({4, 2}), 0.5, 1, Site::feed_forward_output);
  const at::Tensor zero = at::zeros({6, 33}), ones = at::ones({6, 33});
  EXPECT_TRUE(add_dropout(zero, ones, dropout).equal(add_dropout_backward(ones, dropout, at::kFloat)));
  EXPECT_TRUE(apply_dropout(ones, dropout).equal(add_dropout_backward(ones, dropout, at::kFloat)));
  const Dropout off(Call{}, test::ragged({4, 2}), 0.5, 1, Site::feed_forward_output);
  EXPECT_TRUE(add_dropout(ones, ones, off).equal(ones * 2));
}

TEST(ReluDropout, ForwardAndBackwardAgreeWithTheStream) {
  at::manual_seed(1);
  const Ragged tokens = test::ragged({3, 2});
  const Dropout dropout(test::training_call(), tokens, 0.25, 2, Site::feed_forward_inner);
  const at::Tensor x = at::randn({5, 27}, at::kDouble), d = at::randn({5, 27}, at::kDouble);
  at::Tensor y = x.clone(), kept, dx = d.clone();
  relu_dropout(y, dropout, &kept);
  relu_dropout_backward(dx, dropout, kept);
  for (int64_t n = 0; n < 5; ++n) {
    for (int64_t i = 0; i < 27; ++i) {
      const int64_t b = n < 3 ? 0 : 1, t = n - tokens.offsets[b];
      const bool on =
          x[n][i].item<double>() > 0 && dropout.streams[b].number(static_cast<uint64_t>(t * 27 + i)) >= dropout_threshold(0.25);
      const double scale = on ? dropout_scale(0.25) : 0.0;
      EXPECT_DOUBLE_EQ(y[n][i].item<double>(), on ? x[n][i].item<double>() * scale : 0.0);
      EXPECT_DOUBLE_EQ(dx[n][i].item<double>(), d[n][i].item<double>() * scale);
    }
  }
}

TEST(ActivationDropout, IsTheActivationThenTheStreamsMask) {
  at::manual_seed(2);
  const Dropout dropout(test::training_call(), test::ragged({3, 2}), 0.25, 2, Site::feed_forward_inner);
  const at::Tensor x = at::randn({5, 27}, at::kDouble), both = at::randn({5, 54}, at::kDouble),
                   d = at::randn({5, 27}, at::kDouble), masked = apply_dropout(d, dropout);
  for (const Activation f : {Activation::relu, Activation::gelu, Activation::gelu_new, Activation::silu}) {
    EXPECT_LT(test::difference(activation(f, x, dropout), apply_dropout(activation(f, x, {}), dropout)), 1e-14);
    EXPECT_LT(test::difference(activation_backward(f, d, x, dropout), activation_backward(f, masked, x, {})), 1e-14);
    EXPECT_LT(test::difference(gated_activation(f, both, dropout), apply_dropout(gated_activation(f, both, {}), dropout)), 1e-14);
    EXPECT_LT(test::difference(gated_activation_backward(f, d, both, dropout), gated_activation_backward(f, masked, both, {})),
              1e-14);
  }
}

}  // namespace
}  // namespace dept::kernels
