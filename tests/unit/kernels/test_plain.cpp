// The plain operators are the reference: our own kernels equal them, each operator in fp64, fp32 and bf16, on the CPU and on a
// simulated device.
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "dept/kernels/activation.h"
#include "dept/kernels/argmax.h"
#include "dept/kernels/attention.h"
#include "dept/kernels/cross_entropy.h"
#include "dept/kernels/disentangled_attention.h"
#include "dept/kernels/frozen_linear.h"
#include "dept/kernels/layer_norm.h"
#include "dept/kernels/rms_norm.h"
#include "dept/kernels/rope.h"
#include "kernels/plain/philox.h"
#include "support/sim_device.h"
#include "unit/kernels/support.h"

namespace dept::kernels {
namespace {

using test::difference;

class Plain : public testing::TestWithParam<at::ScalarType> {
 protected:
  void SetUp() override { at::manual_seed(21); }

  at::ScalarType branch() const { return GetParam(); }
  at::ScalarType residual() const { return branch() == at::kDouble ? at::kDouble : at::kFloat; }
  at::Tensor branches(at::IntArrayRef shape) const { return at::randn(shape, at::kDouble).to(branch()); }
  at::Tensor residuals(at::IntArrayRef shape) const { return at::randn(shape, at::kDouble).to(residual()); }

  // Of results in the branch's type: bf16 rounds at other places, by one unit in the last place of the largest number.
  double tolerance() const { return branch() == at::kDouble ? 1e-12 : branch() == at::kFloat ? 1e-5 : 1.0 / 128; }

  // Where an operator computes.
  struct Place {
    Kernels kernels;
    at::Device device;
    at::Tensor operator()(const at::Tensor& x) const { return x.to(device); }
  };

  // result(Place) gives tensors: the plain ones are alike to our own on the CPU, and on another device, where nothing may wait.
  template <class Result>
  void expect_alike(Result&& result) const {
    const std::vector<at::Tensor> own = result(Place{Kernels::own, at::kCPU});
    compare(own, result(Place{Kernels::plain, at::kCPU}), "on the CPU");
    sim::counts() = {};
    const std::vector<at::Tensor> there = result(Place{Kernels::own, sim::device()});
    EXPECT_EQ(sim::counts().to_host, 0);
    EXPECT_GT(sim::counts().operators, 0);
    compare(own, there, "on a device");
  }
  void compare(const std::vector<at::Tensor>& own, const std::vector<at::Tensor>& plain, const char* where) const {
    ASSERT_EQ(own.size(), plain.size());
    for (size_t i = 0; i < own.size(); ++i) {
      EXPECT_EQ(own[i].scalar_type(), plain[i].scalar_type()) << i << " " << where;
      ASSERT_EQ(own[i].sizes(), plain[i].sizes()) << i << " " << where;
      EXPECT_LT(difference(own[i], plain[i].cpu()), tolerance()) << i << " " << where;
    }
  }

  const Ragged tokens_ = test::ragged({5, 0, 1, 9});
  Dropout of_some_tokens() const {
    return Dropout(test::training_call(), test::some_tokens(15), 0.3, 2, Site::feed_forward_inner);
  }
  Dropout dropout(Site site = Site::feed_forward_inner) const { return Dropout(test::training_call(), tokens_, 0.3, 2, site); }
};

INSTANTIATE_TEST_SUITE_P(Types, Plain, testing::Values(at::kDouble, at::kFloat, at::kBFloat16),
                         [](const auto& type) { return std::string(dtype_name(type.param)); });

TEST(PlainPhilox, DrawsTheSameBits) {
  const std::vector<DropoutStream> streams = {{0x123456789ABCDEF, 7, 31, 4099, Site::feed_forward_inner},
                                              {0xFFFFFFFFFFFFFFFF, 0xFFFFFFFF, -1, 0, Site::embedding}};
  // Beginnings within a block, and where the counter's low word ends.
  for (const int64_t first : {int64_t{0}, int64_t{4321}, (int64_t{1} << 35) - 100}) {
    const int64_t count = 1001;
    Upload upload;
    plain::Streams keys;
    keys.from(streams, upload);
    upload.send(at::kCPU);
    const at::Tensor begin = at::full({2}, first, at::kLong);
    const at::Tensor drawn = plain::numbers(begin, count, keys.each([](const at::Tensor& x) { return x.unsqueeze(1); }));
    for (int64_t s = 0; s < 2; ++s) {
      std::vector<uint16_t> wanted(count);
      dropout_numbers(streams[s], static_cast<uint64_t>(first), count, wanted.data());
      const at::Tensor row = drawn[s].contiguous();
      EXPECT_TRUE(std::equal(wanted.begin(), wanted.end(), row.const_data_ptr<int64_t>())) << first << ", stream " << s;
    }
  }
}

TEST_P(Plain, Norms) {
  const at::Tensor x = residuals({15, 37}), w = residuals({37}), b = residuals({37}), dy = branches({15, 37});
  expect_alike([&](const Place& on) -> std::vector<at::Tensor> {
    NormSaved saved;
    const at::Tensor y = rms_norm(on(x), on(w), 1e-5, branch(), &saved, on.kernels);
    at::Tensor dx = on(b).expand({15, 37}).contiguous();
    rms_norm_backward(on(dy), saved, on(w), dx, on.kernels);
    return {y, saved.normalised, saved.rstd, dx};
  });
  expect_alike([&](const Place& on) -> std::vector<at::Tensor> {
    const at::Tensor in = on(x * 2 + 3);
    at::Tensor dx = on(b).expand({15, 37}).contiguous();
    NormSaved saved;
    const at::Tensor y = layer_norm(in, on(w), on(b), 1e-5, branch(), &saved, on.kernels);
    layer_norm_backward(on(dy), saved, on(w), dx, on.kernels);
    return {y, layer_norm(in, on(w), on(b), 1e-5, residual(), nullptr, on.kernels), saved.normalised, saved.rstd, dx};
  });
}

TEST_P(Plain, DropoutOfTheSameElements) {
  const at::Tensor x = residuals({15, 37}), y = branches({15, 37});
  for (const Dropout& drops : {Dropout(), dropout(), of_some_tokens()}) {
    expect_alike([&](const Place& on) -> std::vector<at::Tensor> {
      return {add_dropout(on(x), on(y), drops, on.kernels), add_dropout_backward(on(x), drops, branch(), on.kernels),
              apply_dropout(on(y), drops, on.kernels)};
    });
    EXPECT_TRUE(at::equal(apply_dropout(y, drops, Kernels::own), apply_dropout(y, drops, Kernels::plain)));
    EXPECT_TRUE(at::equal(add_dropout_backward(x, drops, branch(), Kernels::own),
                          add_dropout_backward(x, drops, branch(), Kernels::plain)));
  }
}

TEST_P(Plain, Activations) {
  const at::Tensor x = branches({15, 37}) * 3, d = branches({15, 37}), gate_up = branches({15, 74}) * 2;
  for (const Activation f : {Activation::relu, Activation::gelu, Activation::gelu_new, Activation::silu})
    for (const Dropout& drops : {Dropout(), dropout(), of_some_tokens()})
      expect_alike([&](const Place& on) -> std::vector<at::Tensor> {
        return {activation(f, on(x), drops, on.kernels), activation_backward(f, on(d), on(x), drops, on.kernels),
                gated_activation(f, on(gate_up), drops, on.kernels),
                gated_activation_backward(f, on(d), on(gate_up), drops, on.kernels)};
      });
}

TEST_P(Plain, ReluKeepsTheSameUnits) {
  const at::Tensor x = branches({15, 37}), d = branches({15, 37});
  for (const Dropout& drops : {Dropout(), dropout(), of_some_tokens()}) {
    std::vector<at::Tensor> bits;
    expect_alike([&](const Place& on) -> std::vector<at::Tensor> {
      at::Tensor y = on(x).clone(), dx = on(d).clone(), kept;
      relu_dropout(y, drops, &kept, on.kernels);
      relu_dropout_backward(dx, drops, kept, on.kernels);
      bits.push_back(kept);
      return {y, dx};
    });
    for (const at::Tensor& other : {bits[1], bits[2].cpu()}) EXPECT_TRUE(at::equal(bits[0], other));
  }
}

TEST_P(Plain, Rope) {
  const at::Tensor fused = branches({15, 5, 16}), position = at::randint(0, 900, {15}, at::kLong);
  for (const int64_t pairs : {8, 3})  // a whole head, and a part of it
    for (const bool inverse : {false, true}) {
      const RopeAngles angles = rope_angles(position, at::rand({pairs}, at::kDouble), residual());
      expect_alike([&](const Place& on) -> std::vector<at::Tensor> {
        at::Tensor all = on(fused).clone(), part = all.slice(1, 0, 3);
        rope(part, {on(angles.cosine), on(angles.sine)}, inverse, on.kernels);
        return {all};
      });
    }
}

TEST_P(Plain, LogitsAndTheirLoss) {
  const at::Tensor logits = residuals({15, 101}) * 4, labels = at::randint(0, 101, {15}, at::kLong);
  for (const double smoothing : {0.0, 0.1})
    expect_alike([&](const Place& on) -> std::vector<at::Tensor> {
      at::Tensor d;
      const at::Tensor nll = cross_entropy(on(logits), labels, &d, smoothing, on.kernels);
      return {nll, d};
    });
  const at::Tensor ties = (logits * 0.2).round();
  EXPECT_TRUE(at::equal(kernels::argmax(ties, Kernels::own), kernels::argmax(ties, Kernels::plain)));
  EXPECT_TRUE(at::equal(kernels::argmax(ties, Kernels::own), kernels::argmax(ties.to(sim::device()))));
}

// Of a head's width that tiles take and of one that they do not.
TEST_P(Plain, Attention) {
  struct Case {
    Ragged tokens;
    int64_t heads, kv_heads;
    bool causal, bias;
    double dropout;
    int64_t window = 0;
    double score_cap = 0;
  };
  const Ragged texts = test::ragged({33, 1, 70}), shared = test::ragged({7, 9, 0, 66, 3}, {-1, 0, 0, 0, -1});
  Ragged images = texts;
  images.unbiased = {16, 0, 5};
  for (const Case& c :
       {Case{texts, 4, 4, false, true, 0.2}, Case{texts, 4, 4, true, true, 0}, Case{images, 4, 4, false, true, 0.2},
        Case{shared, 6, 2, true, false, 0}, Case{shared, 4, 4, true, false, 0.1}, Case{shared, 2, 1, false, true, 0.1},
        Case{shared, 4, 2, true, false, 0, 20}, Case{texts, 2, 2, false, false, 0.1, 17}, Case{texts, 4, 2, true, false, 0.1, 1},
        Case{shared, 4, 2, true, false, 0, 40, 1.5}})
    for (const int64_t k : {8, 32}) {
      const int64_t n = c.tokens.tokens(), all = c.heads + 2 * c.kv_heads;
      const at::Tensor fused = branches({n, all, k}), d = branches({n, c.heads * k}), bias = residuals({c.heads, 2 * 80 + 1});
      const auto views = [&](const at::Tensor& x) {
        return AttentionInputs(x.slice(1, 0, c.heads), x.slice(1, c.heads, c.heads + c.kv_heads),
                               x.slice(1, c.heads + c.kv_heads, all));
      };
      AttentionOptions options;
      options.scale = 0.3;
      options.causal = c.causal;
      options.dropout = c.dropout;
      options.window = c.window;
      options.score_cap = c.score_cap;
      for (int64_t b = 0; b < c.tokens.batch(); ++b)
        options.streams.emplace_back(42, 5, c.tokens.example[b], 2, Site::self_attention_probabilities);
      expect_alike([&](const Place& on) -> std::vector<at::Tensor> {
        options.kernels = on.kernels;
        if (c.bias) options.relative_bias = on(bias);
        at::Tensor lse;
        const at::Tensor x = on(fused), d_fused = at::zeros_like(x);
        const AttentionInputs in = views(x), to = views(d_fused);
        const at::Tensor out = attention(in, self_attention_spans(c.tokens), options, &lse);
        attention_backward(on(d), lse, in, self_attention_spans(c.tokens), options, {to.q, to.k, to.v, {}});
        return {out, lse, d_fused};
      });
    }
}

TEST_P(Plain, DisentangledAttention) {
  const Ragged tokens = test::ragged({33, 1, 20});
  const std::vector<AttentionSpan> spans = self_attention_spans(tokens);
  const at::Tensor fused = branches({54, 9, 8}), keys = branches({3, 81, 8}), queries = branches({3, 81, 8}),
                   d = branches({54, 24});
  AttentionOptions options;
  options.scale = 0.3;
  options.dropout = 0.1;
  for (const int64_t example : tokens.example)
    options.streams.emplace_back(42, 5, example, 2, Site::self_attention_probabilities);
  expect_alike([&](const Place& on) -> std::vector<at::Tensor> {
    options.kernels = on.kernels;
    const auto part = [](const at::Tensor& x, int64_t i) { return x.narrow(1, 3 * i, 3); };
    const at::Tensor x = on(fused), d_fused = at::zeros_like(x);
    const DisentangledInputs in{part(x, 0), part(x, 1), part(x, 2), on(keys), on(queries)};
    const at::Tensor out = disentangled_attention(in, spans, options);
    disentangled_attention_backward(on(d), in, spans, options, {part(d_fused, 0), part(d_fused, 1), part(d_fused, 2), {}});
    return {out, d_fused};
  });
}

TEST_P(Plain, AttentionToAMemory) {
  const Ragged queries = test::ragged({2, 0, 30, 3}), keys = test::ragged({60, 5, 41, 1});
  const at::Tensor q = branches({35, 3, 32}), x = branches({107, 32}), d = branches({35, 96}), before = residuals({107, 32});
  AttentionOptions options;
  options.scale = 0.2;
  options.dropout = 0.2;
  for (int64_t b = 0; b < queries.batch(); ++b)
    options.streams.emplace_back(42, 5, queries.example[b], 2, Site::cross_attention_probabilities);
  const std::vector<AttentionSpan> spans = cross_attention_spans(queries, keys);
  expect_alike([&](const Place& on) -> std::vector<at::Tensor> {
    options.kernels = on.kernels;
    const AttentionMemory memory = attention_memory(on(x), keys, on.kernels);
    EXPECT_TRUE(!memory.keys.defined() || (on.kernels == Kernels::own && on.device.is_cpu()));
    at::Tensor lse, dq = at::zeros_like(on(q)), dx = on(before).clone();
    const at::Tensor out = attention({on(q), memory}, spans, options, &lse);
    attention_backward(on(d), lse, {on(q), memory}, spans, options, {dq, {}, {}, dx});
    return {out, lse, dq, dx};
  });
}

TEST_P(Plain, FrozenLinears) {
  const at::Tensor w = branches({64, 32}), bias = branches({64}), x = branches({15, 32}), d = branches({15, 64});
  const at::Tensor h = residuals({15, 64}), two = branches({15, 64});
  expect_alike([&](const Place& on) -> std::vector<at::Tensor> {
    const FrozenLinear linear(FrozenMatrix(on(w), on.kernels), on(bias));
    EXPECT_EQ(linear.kernels(), on.kernels);
    return {linear.forward(on(x)),
            linear.backward_input(on(d)),
            linear.add_forward(on(h), on(x), dropout()),
            linear.forward_heads(on(two), {0, 2, 32}),
            linear.backward_heads(on(d), {0, 2, 32}),
            FrozenMatrix(on(w), on.kernels).forward_wide(on(x))};
  });
}

}  // namespace
}  // namespace dept::kernels
