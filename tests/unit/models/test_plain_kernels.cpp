// A whole model's step by the plain kernels, on the CPU and on a simulated device, equals the step by our own kernels: hidden
// states, the loss of some tokens and the gradients of the input embeddings. Greedy search writes the same tokens.
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "dept/kernels/cross_entropy.h"
#include "dept/models/backbone.h"
#include "dept/models/generation.h"
#include "support/sim_device.h"
#include "unit/kernels/support.h"

namespace dept {
namespace {

struct Family {
  const char* name;
  const char* config;
  bool causal = true;
  bool alike = false;  ///< its operators are another family's: steps in fp64 and fp32, and no bf16
};

const Family families[] = {
    {"T5", R"({"model_type": "t5", "d_model": 64, "d_kv": 32, "d_ff": 96, "num_layers": 2, "num_heads": 2, "vocab_size": 101,
               "dropout_rate": 0.2, "pad_token_id": 0, "decoder_start_token_id": 0})"},
    {"GatedT5", R"({"model_type": "t5", "d_model": 64, "d_kv": 32, "d_ff": 96, "num_layers": 2, "num_heads": 2, "vocab_size": 101,
                    "dropout_rate": 0.2, "pad_token_id": 0, "decoder_start_token_id": 0, "feed_forward_proj": "gated-gelu"})"},
    {"Llama", R"({"model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
                  "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 101})"},
    {"Gemma2", R"({"model_type": "gemma2", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "head_dim": 32,
                   "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 101, "sliding_window": 6,
                   "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0, "query_pre_attn_scalar": 32})"},
    {"Qwen3", R"({"model_type": "qwen3", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "head_dim": 32,
                  "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 101, "attention_dropout": 0.1})"},
    {"Neox", R"({"model_type": "gpt_neox", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
                 "num_attention_heads": 2, "vocab_size": 101, "rotary_pct": 0.25, "hidden_dropout": 0.2})"},
    {"Gpt2", R"({"model_type": "gpt2", "n_embd": 64, "n_layer": 2, "n_head": 2, "n_positions": 64, "vocab_size": 101,
                 "embd_pdrop": 0.2, "attn_pdrop": 0.2, "resid_pdrop": 0.2})"},
    {"Bart", R"({"model_type": "bart", "d_model": 64, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
                 "decoder_attention_heads": 2, "encoder_ffn_dim": 96, "decoder_ffn_dim": 96, "vocab_size": 101,
                 "max_position_embeddings": 64, "dropout": 0.2, "activation_dropout": 0.1, "decoder_start_token_id": 0})"},
    {"ModernBert", R"({"model_type": "modernbert", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3,
                       "num_attention_heads": 2, "vocab_size": 101, "local_attention": 6, "attention_dropout": 0.1,
                       "mlp_dropout": 0.2})",
     false},
    {"Deberta", R"({"model_type": "deberta-v2", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
                    "num_attention_heads": 2, "vocab_size": 101, "max_position_embeddings": 64, "relative_attention": true,
                    "position_buckets": 8, "norm_rel_ebd": "layer_norm", "share_att_key": true, "pos_att_type": "p2c|c2p",
                    "position_biased_input": false, "conv_kernel_size": 3, "conv_act": "gelu"})",
     false},
    {"Bert",
     R"({"model_type": "bert", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2,
         "vocab_size": 101, "max_position_embeddings": 64, "type_vocab_size": 2})",
     false},
    {"UMT5", R"({"model_type": "umt5", "d_model": 64, "d_kv": 32, "d_ff": 96, "num_layers": 2, "num_heads": 2, "vocab_size": 101,
                 "dropout_rate": 0.2, "pad_token_id": 0, "decoder_start_token_id": 0, "feed_forward_proj": "gated-gelu"})",
     true, true},
    {"Mistral", R"({"model_type": "mistral", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
                    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 101, "sliding_window": 6})",
     true, true},
    {"Qwen2", R"({"model_type": "qwen2", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
                  "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 101, "sliding_window": 4,
                  "use_sliding_window": true, "max_window_layers": 1})",
     true, true},
    {"Gemma3",
     R"({"model_type": "gemma3_text", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "head_dim": 32,
                   "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 101, "sliding_window": 5,
                   "layer_types": ["sliding_attention", "full_attention"], "query_pre_attn_scalar": 32})",
     true, true},
    {"Granite", R"({"model_type": "granite", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
                    "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 101, "embedding_multiplier": 1.7,
                    "attention_multiplier": 0.3, "residual_multiplier": 0.8, "logits_scaling": 0.6})",
     true, true},
    {"Olmo2", R"({"model_type": "olmo2", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
                  "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 101})",
     true, true},
    {"Phi3", R"({"model_type": "phi3", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
                 "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 101, "max_position_embeddings": 64,
                 "original_max_position_embeddings": 10, "pad_token_id": 0, "partial_rotary_factor": 0.25,
                 "rope_scaling": {"long_factor": [1.0, 2.0, 3.0, 6.0], "short_factor": [1.0, 1.2, 1.4, 1.5], "type": "longrope"}})",
     true, true},
    {"SmolLM3", R"({"model_type": "smollm3", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
                    "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 101, "no_rope_layers": [1, 0]})",
     true, true},
    {"Roberta",
     R"({"model_type": "roberta", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2,
         "vocab_size": 101, "max_position_embeddings": 66, "type_vocab_size": 1, "pad_token_id": 1})",
     false, true},
    {"Albert",
     R"({"model_type": "albert", "embedding_size": 32, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3,
                   "num_hidden_groups": 2, "inner_group_num": 2, "num_attention_heads": 2, "vocab_size": 101,
                   "type_vocab_size": 2, "max_position_embeddings": 64, "hidden_act": "gelu_new"})",
     false, true},
    {"Distilbert", R"({"model_type": "distilbert", "dim": 64, "hidden_dim": 96, "n_layers": 2, "n_heads": 2, "vocab_size": 101,
                       "max_position_embeddings": 64})",
     false, true},
    {"Electra", R"({"model_type": "electra", "embedding_size": 32, "hidden_size": 64, "intermediate_size": 96,
                    "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 101, "type_vocab_size": 2, "max_position_embeddings": 64})",
     false, true},
    {"Mpnet", R"({"model_type": "mpnet", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
                  "num_attention_heads": 2, "vocab_size": 101, "max_position_embeddings": 66, "pad_token_id": 1})",
     false, true}};

Stream stream_of(const Backbone& model, const Ragged& lengths) {
  Stream stream{lengths, {}};
  std::vector<at::Tensor> positions;
  for (int64_t b = 0; b < lengths.batch(); ++b) positions.push_back(at::arange(lengths.length(b), at::kLong));
  stream.tokens.position = at::cat(positions);
  stream.embeds = model.embed(at::randint(0, 101, {lengths.tokens()}, at::kLong));
  return stream;
}

struct Place {
  Kernels kernels;
  at::Device device;
};

using Case = std::tuple<Family, at::ScalarType, bool>;
class PlainModel : public testing::TestWithParam<Case> {
 protected:
  static std::unique_ptr<Backbone> load(const Place& on, at::ScalarType compute = std::get<1>(GetParam())) {
    ModelContext context;
    context.compute = compute;
    context.kernels = on.kernels;
    context.device = on.device;
    const Family& family = std::get<0>(GetParam());
    return random_backbone(parse_json(family.config, family.name), context, 3);
  }

  // Hidden states, losses and gradients of a step on the inputs of a seed. Nothing in it waits for a device.
  static std::vector<at::Tensor> step(const Place& on, int seed, at::ScalarType compute = std::get<1>(GetParam())) {
    const bool causal = std::get<0>(GetParam()).causal, training = std::get<2>(GetParam());
    Call call = test::training_call();
    call.training = training;
    const std::unique_ptr<Backbone> model = load(on, compute);
    at::manual_seed(seed);
    const bool t5 = model->info().encoder_decoder(), shares = causal && !t5 && !training;
    const Stream source = stream_of(*model, shares ? test::ragged({4, 9, 1, 17}, {-1, 0, 0, 0}) : test::ragged({9, 1, 17}));
    const Stream target = stream_of(*model, test::ragged({2, 3, 10}));
    const int64_t rows = t5 ? target.tokens.tokens() : source.tokens.tokens();
    at::Tensor d_hidden = at::randn({rows, model->info().hidden}, at::kDouble).to(on.device, compute);
    const at::Tensor labels = at::randint(0, 101, {rows}, at::kLong);
    sim::counts() = {};
    std::unique_ptr<Saved> saved;
    std::vector<at::Tensor> found = {model->forward(call, source, t5 ? &target : nullptr, &saved)};
    if (causal) {
      const TextModel& text = as_text_model(*model);
      at::Tensor d_logits;
      const at::Tensor logits = text.logits(found.front());
      found.push_back(kernels::cross_entropy(logits, labels, &d_logits, 0.1, on.kernels));
      d_hidden = text.logits_backward(d_logits, logits);
    }
    const InputGradients d = model->backward(std::move(saved), d_hidden);
    EXPECT_EQ(sim::counts().to_host, 0);
    EXPECT_EQ(sim::counts().operators > 0, !on.device.is_cpu());
    found.push_back(d.source);
    if (t5) found.push_back(d.target);
    return found;
  }

  // What greedy search writes behind each text, texts of a decoder sharing a prompt.
  static std::vector<std::vector<int64_t>> answers(const Place& on) {
    const std::unique_ptr<Backbone> model = load(on);
    at::manual_seed(6);
    GenerationInput input;
    if (model->info().encoder_decoder()) {
      input.source = stream_of(*model, test::ragged({9, 1, 17}));
    } else {
      Ragged tokens = test::ragged({4, 9, 1, 17}, {-1, 0, 0, 0});
      tokens.example[0] = -1;
      input.source = stream_of(*model, tokens);
    }
    GenerationOptions options;
    options.max_new_tokens = 12;
    std::vector<std::vector<int64_t>> written;
    for (const auto& answer : generate(as_text_model(*model), input, options)) written.push_back(answer.front().ids);
    return written;
  }
};

std::vector<Case> cases(bool (*is_one)(const Case&)) {
  std::vector<Case> all;
  for (const Family& family : families)
    for (const at::ScalarType dtype : {at::kDouble, at::kFloat, at::kBFloat16})
      for (const bool training : {false, true})
        if (const Case one(family, dtype, training); is_one(one)) all.push_back(one);
  return all;
}

// How far a tensor of a model's step is from fp64's, and that it is as near as a single step in this type has to be.
double distance_from_exact(const at::Tensor& found, const at::Tensor& exact, at::ScalarType computed) {
  const double away = test::difference(found, exact);
  if (computed == at::kDouble) {
    EXPECT_LT(away, 1e-12);
  }
  if (computed == at::kFloat) {
    EXPECT_LT(away, 1e-3);
  }
  return away;
}

bool is_step(const Case& one) {
  const auto& [family, dtype, training] = one;
  return !family.alike || (dtype != at::kBFloat16 && training);
}
bool is_search(const Case& one) {
  const auto& [family, dtype, training] = one;
  return family.causal && dtype != at::kBFloat16 && !training;
}

std::string name_of(const testing::TestParamInfo<Case>& test) {
  const auto& [family, dtype, training] = test.param;
  return std::string(family.name) + "_" + std::string(dtype_name(dtype)) + (training ? "_training" : "");
}

INSTANTIATE_TEST_SUITE_P(Families, PlainModel, testing::ValuesIn(cases(is_step)), name_of);

// Rounding moves a badly conditioned model far from its values in fp64: neither way of computing is to be the worse one. In fp32
// the distance of one step is a single draw of that rounding, so for each tensor those of several steps are added up.
TEST_P(PlainModel, StepsAlike) {
  const at::ScalarType dtype = std::get<1>(GetParam());
  const double least = dtype == at::kFloat ? 1e-5 : 5e-2;
  const int steps = dtype == at::kFloat ? 4 : 1;
  const Place places[] = {{Kernels::plain, at::kCPU}, {Kernels::own, sim::device()}};
  std::vector<double> ours, theirs[std::size(places)];
  for (int seed = 5; seed < 5 + steps; ++seed) {
    const std::vector<at::Tensor> own = step({Kernels::own, at::kCPU}, seed);
    const std::vector<at::Tensor> exact = dtype == at::kDouble ? own : step({Kernels::own, at::kCPU}, seed, at::kDouble);
    ours.resize(own.size());
    for (size_t i = 0; i < own.size(); ++i) {
      EXPECT_GT(own[i].abs().max().item<double>(), 0);
      ours[i] += distance_from_exact(own[i], exact[i], dtype);
    }
    for (size_t p = 0; p < std::size(places); ++p) {
      const std::vector<at::Tensor> plain = step(places[p], seed);
      ASSERT_EQ(own.size(), plain.size());
      theirs[p].resize(own.size());
      for (size_t i = 0; i < own.size(); ++i) {
        EXPECT_EQ(plain[i].device(), places[p].device);
        EXPECT_EQ(own[i].scalar_type(), plain[i].scalar_type());
        SCOPED_TRACE(testing::Message() << i << " on " << places[p].device);
        theirs[p][i] += distance_from_exact(plain[i].cpu(), exact[i], dtype);
      }
    }
  }
  for (size_t p = 0; p < std::size(places); ++p)
    for (size_t i = 0; i < ours.size(); ++i) {
      EXPECT_LT(theirs[p][i], 3 * ours[i] + least) << i << " on " << places[p].device;
      EXPECT_LT(ours[i], 3 * theirs[p][i] + least) << i << " on " << places[p].device;
    }
}

// Without bf16, where the kernels round at other places and the likeliest token may be another.
class PlainSearch : public PlainModel {};
INSTANTIATE_TEST_SUITE_P(Families, PlainSearch, testing::ValuesIn(cases(is_search)), name_of);

TEST_P(PlainSearch, WritesTheSameTokens) {
  const auto own = answers({Kernels::own, at::kCPU});
  EXPECT_EQ(own.size(), 3U);
  EXPECT_EQ(own.front().size(), 12U);
  EXPECT_EQ(own, answers({Kernels::plain, at::kCPU}));
  EXPECT_EQ(own, answers({Kernels::own, sim::device()}));
}

}  // namespace
}  // namespace dept
