// A training step spread over two ranks is the same step as on one.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/max.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/stack.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "dept/train/step.h"
#include "dist/ranks.h"
#include "support/dept_adapter.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

constexpr int64_t accumulation = 2, examples_per_micro_batch = 5, rows = 24;

// Sources and targets of all lengths, so that a half of a batch has its own number of label tokens.
std::vector<Example> make_examples(int64_t count) {
  std::vector<Example> examples;
  for (int64_t i = 0; i < count; ++i) {
    Example& example = examples.emplace_back();
    example.index = i;
    for (int64_t t = 0; t < 3 + i * 7 % 17; ++t) example.source.push_back(3 + (i * 31 + t * 13) % 90);
    for (int64_t t = 0; t < 1 + i * i % 6; ++t) example.target.push_back(3 + (i * 17 + t * 29) % 90);
    example.target.push_back(0);
    example.value = static_cast<double>(i % 3);
  }
  return examples;
}

AdaptedModel make_model(const std::string& model, HeadForm head, const ModelContext& context) {
  ModelParts parts;
  parts.backbone = load_backbone(fs::path(DEPT_TEST_DATA) / "parity/data/models" / model, context);
  const ModelInfo& info = parts.backbone->info();
  parts.rules.architecture = info.architecture;
  parts.rules.head = head != HeadForm::none;
  parts.rules.max_source = rows;
  parts.rules.decoder_start_id = info.decoder_start_id.value_or(0);
  at::manual_seed(7);
  const auto options = at::TensorOptions(context.residual());
  parts.weights = dept_alone({at::randn({1, 4, info.hidden}, options), at::rand({1, rows, 3}, options) - 0.5,
                              at::randn({1, 3, info.hidden}, options) * 0.1});
  if (parts.rules.head) {
    parts.weights.head.form = head;
    parts.weights.head.out = at::randn({1, 3, info.hidden}, options);
  }
  return AdaptedModel(std::move(parts));
}

// Trains on this rank's part of each micro-batch (rank 0 has 2 examples of 5, rank 1 has 3; the last one leaves rank 1 nothing)
// and writes the losses, the optimiser's first moments (sums of gradients) and the weights to `file`.
int train(const RankInfo& info, const std::string& model, HeadForm head, c10::ScalarType compute, int64_t steps,
          const fs::path& file) {
  at::set_num_threads(1);
  const auto group = join_group(info, std::chrono::seconds(30));
  ModelContext context;
  context.compute = compute;
  Call call;
  call.group = group.get();
  AdaptedModel adapted = make_model(model, head, context);
  // Adam divides by |gradient| + epsilon: with a wide epsilon the few gradients near zero do not blow up their last bits.
  AdamOptions adam;
  adam.epsilon = 1e-3;
  Step step(call, adapted, adam, 1.0, accumulation);
  const std::vector<Example> examples = make_examples(steps * accumulation * examples_per_micro_batch);
  std::vector<at::Tensor> losses;
  for (int64_t s = 0, micro = 0; s < steps; ++s) {
    for (int64_t a = 0; a < accumulation; ++a, ++micro) {
      std::span<const Example> part = std::span(examples).subspan(micro * examples_per_micro_batch, examples_per_micro_batch);
      const size_t first = micro + 1 == steps * accumulation ? examples_per_micro_batch : 2;
      if (info.size > 1) part = info.rank == 0 ? part.first(first) : part.subspan(first);
      step.accumulate(part);
    }
    losses.push_back(step.update({{0.05, 0.01}}));
  }
  NamedTensors result = step.state();
  for (const Parameter& parameter : adapted.weights().parameters()) result.emplace_back(parameter.name, parameter.value);
  result.emplace_back("losses", at::stack(losses));
  save_safetensors(file, result);
  return 0;
}

double relative_difference(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).abs().max() / b.abs().max().clamp_min(1e-30)).item<double>();
}

struct Case {
  const char* model;
  HeadForm head;
  c10::ScalarType compute;
  int64_t steps;
  double tolerance;
};

class StepOnRanks : public testing::TestWithParam<Case> {};

TEST_P(StepOnRanks, EqualsOneRank) {
  const auto [model, head, compute, steps, tolerance] = GetParam();
  const Scratch scratch;
  const auto run = [&](int64_t size, const std::string& name) {
    return run_ranks(size, [&, model = model, head = head, compute = compute, steps = steps](const RankInfo& info) {
      return train(info, model, head, compute, steps, scratch / str(name, "-", info.rank, ".safetensors"));
    });
  };
  ASSERT_THAT(run(1, "one"), testing::ElementsAre(0));
  ASSERT_THAT(run(2, "two"), testing::ElementsAre(0, 0));

  // The parent runs no operation that starts threads before it has forked.
  const auto one = open_safetensors(scratch / "one-0.safetensors");
  for (const char* name : {"two-0.safetensors", "two-1.safetensors"}) {
    const auto two = open_safetensors(scratch / name);
    ASSERT_EQ(one->tensors().size(), two->tensors().size());
    for (const TensorInfo& tensor : one->tensors())
      EXPECT_LE(relative_difference(two->read(tensor.name).to(at::kDouble), one->read(tensor.name).to(at::kDouble)), tolerance)
          << name << " " << tensor.name;
  }
  EXPECT_EQ(read_file(scratch / "two-0.safetensors"), read_file(scratch / "two-1.safetensors"));
}

// In fp64 the steps are the same but for the order of sums; in fp32 that order shows, and more so with each step of Adam.
INSTANTIATE_TEST_SUITE_P(Models, StepOnRanks,
                         testing::Values(Case{"llama-gqa-tied", HeadForm::none, at::kFloat, 1, 1e-6},
                                         Case{"llama-gqa-tied", HeadForm::none, at::kDouble, 3, 1e-12},
                                         Case{"llama-gqa-tied", HeadForm::score, at::kDouble, 3, 1e-12},
                                         Case{"t5-v1.0", HeadForm::none, at::kFloat, 1, 1e-6},
                                         Case{"t5-v1.0", HeadForm::none, at::kDouble, 3, 1e-12}),
                         [](const auto& info) {
                           return str(std::string_view(info.param.model).substr(0, 2),
                                      info.param.head == HeadForm::none ? "" : "Head",
                                      info.param.compute == at::kDouble ? "Fp64" : "Fp32");
                         });

}  // namespace
}  // namespace dept
