// A whole model's step by the plain kernels equals that by our own: hidden states, the loss of some tokens and the gradients of
// the input embeddings.
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "dept/kernels/cross_entropy.h"
#include "dept/models/backbone.h"
#include "unit/kernels/support.h"

namespace dept {
namespace {

struct Family {
  const char* name;
  const char* config;
  bool causal = true;
};

const Family families[] = {
    {"T5", R"({"model_type": "t5", "d_model": 64, "d_kv": 32, "d_ff": 96, "num_layers": 2, "num_heads": 2, "vocab_size": 101,
               "dropout_rate": 0.2, "pad_token_id": 0})"},
    {"GatedT5", R"({"model_type": "t5", "d_model": 64, "d_kv": 32, "d_ff": 96, "num_layers": 2, "num_heads": 2, "vocab_size": 101,
                    "dropout_rate": 0.2, "pad_token_id": 0, "feed_forward_proj": "gated-gelu"})"},
    {"Llama", R"({"model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
                  "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 101})"},
    {"Gpt2", R"({"model_type": "gpt2", "n_embd": 64, "n_layer": 2, "n_head": 2, "n_positions": 64, "vocab_size": 101,
                 "embd_pdrop": 0.2, "attn_pdrop": 0.2, "resid_pdrop": 0.2})"},
    {"Bert",
     R"({"model_type": "bert", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2,
         "vocab_size": 101, "max_position_embeddings": 64, "type_vocab_size": 2})",
     false}};

Stream stream_of(const Backbone& model, const Ragged& lengths) {
  Stream stream{lengths, {}};
  std::vector<at::Tensor> positions;
  for (int64_t b = 0; b < lengths.batch(); ++b) positions.push_back(at::arange(lengths.length(b), at::kLong));
  stream.tokens.position = at::cat(positions);
  stream.embeds = model.embed(at::randint(0, 101, {lengths.tokens()}, at::kLong));
  return stream;
}

using Case = std::tuple<Family, at::ScalarType, bool>;
class PlainModel : public testing::TestWithParam<Case> {
 protected:
  // Hidden states, losses and gradients of a step.
  std::vector<at::Tensor> step(Kernels kernels) const {
    const auto& [family, dtype, training] = GetParam();
    Context ctx = test::training_context();
    ctx.training = training;
    ctx.compute = dtype;
    ctx.kernels = kernels;
    const std::unique_ptr<Backbone> model = random_backbone(parse_json(family.config, family.name), ctx, 3);
    at::manual_seed(5);
    const bool t5 = model->info().encoder_decoder(), shares = family.causal && !t5 && !training;
    const Stream source = stream_of(*model, shares ? test::ragged({4, 9, 1, 17}, {-1, 0, 0, 0}) : test::ragged({9, 1, 17}));
    const Stream target = stream_of(*model, test::ragged({2, 3, 10}));
    std::unique_ptr<Saved> saved;
    const at::Tensor hidden = model->forward(ctx, source, t5 ? &target : nullptr, &saved);
    std::vector<at::Tensor> found = {hidden};
    at::Tensor d_hidden = at::randn(hidden.sizes(), at::kDouble).to(hidden.scalar_type());
    if (family.causal) {
      at::Tensor d_logits;
      found.push_back(kernels::cross_entropy(model->logits(ctx, hidden), at::randint(0, 101, {hidden.size(0)}, at::kLong),
                                             &d_logits, 0.1, kernels));
      d_hidden = model->logits_backward(ctx, d_logits);
    }
    const InputGradients d = model->backward(ctx, std::move(saved), d_hidden);
    found.push_back(d.source);
    if (t5) found.push_back(d.target);
    return found;
  }
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const Family& family : families)
    for (const at::ScalarType dtype : {at::kDouble, at::kFloat, at::kBFloat16})
      for (const bool training : {false, true}) all.emplace_back(family, dtype, training);
  return all;
}

std::string name_of(const testing::TestParamInfo<Case>& test) {
  const auto& [family, dtype, training] = test.param;
  return std::string(family.name) + "_" + std::string(dtype_name(dtype)) + (training ? "_training" : "");
}

INSTANTIATE_TEST_SUITE_P(Families, PlainModel, testing::ValuesIn(cases()), name_of);

TEST_P(PlainModel, StepsAlike) {
  const at::ScalarType dtype = std::get<1>(GetParam());
  const double tolerance = dtype == at::kDouble ? 1e-12 : dtype == at::kFloat ? 1e-5 : 5e-2;
  const std::vector<at::Tensor> own = step(Kernels::own), plain = step(Kernels::plain);
  ASSERT_EQ(own.size(), plain.size());
  for (size_t i = 0; i < own.size(); ++i) {
    EXPECT_EQ(own[i].scalar_type(), plain[i].scalar_type());
    EXPECT_GT(own[i].abs().max().item<double>(), 0);
    EXPECT_LT(test::difference(own[i], plain[i]), tolerance) << i;
  }
}

}  // namespace
}  // namespace dept
