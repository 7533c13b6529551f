// The arithmetic that the benchmarks report, against counts made by other ways.
#include <gtest/gtest.h>

#include "bench/cost.h"
#include "bench/shapes.h"
#include "models/albert.h"
#include "models/bert.h"
#include "models/gpt2.h"
#include "models/llama.h"
#include "models/t5.h"

namespace dept {
namespace {

Example example(int64_t source, int64_t target) {
  Example made;
  made.source.resize(source);
  made.target.resize(target);
  return made;
}

double weights(const ModelCost& cost) {
  double sum = 0;
  for (const auto& linears : {cost.source.linears, cost.target.linears, cost.memory})
    for (const LinearShape& linear : linears) sum += static_cast<double>(linear.in * linear.out * linear.count);
  return sum;
}

// All parameters but embeddings, norms, biases and a pooler are weights of the linears.
TEST(Cost, CountsTheWeightsOfEveryShape) {
  const auto rest = [](const std::string& name) {
    const Json config = shape_config(name);
    const double linears = weights(model_cost(config, name));
    const std::string type = config["model_type"];
    const ModelInfo info = type == "t5"      ? t5_info(config, name)
                           : type == "gpt2"  ? gpt2_info(config, name)
                           : type == "llama" ? llama_info(config, name)
                           : type == "bert"  ? bert_info(config, name)
                                             : roberta_info(config, name);
    const double embeddings = static_cast<double>(info.vocab * info.hidden * (info.tied ? 1 : 2));
    return (static_cast<double>(info.parameters) - embeddings - linears) / linears;
  };
  for (const std::string& name : shape_names()) {
    EXPECT_GE(rest(name), 0) << name;
    EXPECT_LT(rest(name), name.starts_with("bert") || name.starts_with("roberta") || name.starts_with("gpt2") ? 0.02 : 0.001)
        << name;
  }
}

// T5-base near the mean length of SST-2's texts: 34 tokens and a prompt of 40, a label of two tokens.
TEST(Cost, OfT5Base) {
  const std::vector<Example> examples = {example(34, 2)};
  const Flop flop = forward_flop(model_cost(shape_config("t5-base"), ""), examples, 40);
  constexpr double encoder = 12 * (4 * 768. * 768 + 2 * 768. * 3072), cross = 12 * 2 * 768. * 768;
  constexpr double decoder = 12 * (6 * 768. * 768 + 2 * 768. * 3072), head = 32128 * 768.;
  EXPECT_DOUBLE_EQ(flop.linears, 2 * ((encoder + cross) * 74 + (decoder + head) * 2));
  EXPECT_DOUBLE_EQ(flop.attention, 2 * 12 * 2 * 768. * (74 * 74 + 74 * 2 + 3));
  EXPECT_NEAR(flop.step() / 1e9, 30.943, 0.001);
}

// A prompt whose states are shared counts once, and its keys for every text.
TEST(Cost, OfASharedPrompt) {
  const ModelCost cost = model_cost(shape_config("smollm2-135m"), "");
  const std::vector<Example> two = {example(7, 2), example(3, 1)};
  const Flop flop = forward_flop(cost, two, 5);
  constexpr double layer = 576. * (576 + 2 * 192) + 576. * 576 + 3 * 576. * 1536;
  EXPECT_DOUBLE_EQ(flop.linears, 2 * (30 * layer * (5 + 8 + 3) + 49152. * 576 * 3));
  EXPECT_DOUBLE_EQ(flop.attention, 2 * 30 * 2 * 576. * (15 + (8 * 5 + 36) + (3 * 5 + 6)));
}

TEST(Cost, OfAnEncoder) {
  const std::vector<Example> one = {example(10, 0)};
  const Flop flop = forward_flop(model_cost(shape_config("bert-base"), ""), one, 20);
  EXPECT_DOUBLE_EQ(flop.linears, 2 * 12 * (4 * 768. * 768 + 2 * 768. * 3072) * 30);
  EXPECT_DOUBLE_EQ(flop.attention, 2 * 12 * 2 * 768. * 30 * 30);
}

}  // namespace
}  // namespace dept
