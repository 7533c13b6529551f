// Runs that share passes against the same runs by themselves.
#include <ATen/ops/abs.h>
#include <ATen/ops/max.h>

#include <array>
#include <cmath>
#include <memory>

#include "dept/train/pass.h"
#include "unit/base/scratch.h"
#include "unit/train/tiny_run.h"

namespace dept {
namespace {

struct Case {
  const char* model;
  const char* method;
  bool head;
};

std::shared_ptr<const Backbone> backbone_of(const Case& form) {
  ModelContext context;
  context.compute = at::kDouble;
  return load_backbone(std::string(DEPT_TEST_DATA) + "/parity/data/models/" + form.model, context);
}

// A run of its own seed, rates, order and schedule, in fp64, where a stack differs by the order of sums alone.
struct OneOfSix : TinyRun {
  OneOfSix(const fs::path& folder, const Case& form, int k, std::shared_ptr<const Backbone> backbone, double smoothing = 0)
      : TinyRun(folder, 11, form.head) {
    call.seeds = {static_cast<uint64_t>(100 + k)};
    ModelParts parts = form.head ? tiny_classifier(form.model, 3, Pooling::first) : tiny_parts(form.model);
    parts.backbone = std::move(backbone);
    parts.label_smoothing = smoothing;
    config.method = &find_method(form.method);
    const AdapterShape shape{3, 1, parts.backbone->info().input_width(), 2, 12, 5, 8, 0.2, 7};
    std::vector<at::Tensor> values;
    for (const AdapterTensor& tensor : config.method->tensors(shape)) {
      std::vector<int64_t> sizes = tensor.shape;
      sizes.insert(sizes.begin(), 1);
      values.push_back(noise(sizes, 10 * k + values.size()).to(at::kDouble));
    }
    parts.weights.input = make_adapter(*config.method, shape, values);
    for (const HeadTensor& tensor : head_tensors(parts.weights.head.form, 0, 0))
      parts.weights.head.*tensor.tensor = (parts.weights.head.*tensor.tensor).to(at::kDouble).contiguous();
    model = AdaptedModel(std::move(parts));
    options.schedule.seed = 100 + k;
    options.schedule.max_steps = 6 + k % 3;  // they leave the pass one after the other
    options.schedule.lr_scheduler_type = k % 2 == 0 ? "linear" : "cosine";
    options.schedule.train_sampling_strategy = k == 4 ? "group_by_length" : "random";
    options.optimizer.learning_rate = 0.01 * (k + 1);
    options.optimizer.lora_embedding_lr = 0.02;
    options.optimizer.weight_decay = 0.1 * k;
    options.optimizer.apply_weight_decay = true;
    options.optimizer.max_grad_norm = k == 2 ? 0.1 : 1;
    options.output.save_strategy = "no";
    options.output.logging_steps = 1;
    options.evaluation.eval_strategy = "no";
    rules.by = PredictBy::nothing;
  }
};

std::vector<double> losses(const TrainState& state) {
  std::vector<double> all;
  for (const OrderedJson& entry : state.log)
    if (entry.contains("loss_exact")) all.push_back(entry["loss_exact"]);
  return all;
}

// As the driver of a sweep does it, without what it does beside.
void train(std::vector<TrainingLoop*> loops) {
  Pass pass;
  for (TrainingLoop* loop : loops) loop->start();
  while (!loops.empty()) {
    pass.step(loops);
    std::erase_if(loops, [](TrainingLoop* loop) {
      if (!loop->failure && loop->goes_on()) return false;
      if (!loop->failure) loop->end();
      return true;
    });
  }
}

class SixRuns : public testing::TestWithParam<Case> {};

TEST_P(SixRuns, EqualTheSameByThemselves) {
  const Scratch scratch;
  const std::shared_ptr<const Backbone> backbone = backbone_of(GetParam());
  std::vector<std::unique_ptr<OneOfSix>> alone, together;
  std::vector<std::unique_ptr<TrainingLoop>> loops;
  std::vector<TrainingLoop*> stacked;
  for (int k = 0; k < 6; ++k) {
    alone.push_back(std::make_unique<OneOfSix>(scratch / str("alone-", k), GetParam(), k, backbone));
    together.push_back(std::make_unique<OneOfSix>(scratch / str("together-", k), GetParam(), k, backbone));
    loops.push_back(std::make_unique<TrainingLoop>(together.back()->inputs()));
    stacked.push_back(loops.back().get());
    ASSERT_TRUE(stacked.back()->stacks_with(*stacked.front()));
  }
  train(stacked);
  for (int k = 0; k < 6; ++k) {
    const TrainState state = run_whole(*alone[k]);
    const std::vector<double> expected = losses(state), received = losses(loops[k]->state());
    ASSERT_EQ(expected.size(), static_cast<size_t>(6 + k % 3));
    ASSERT_EQ(received.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(received[i], expected[i], 1e-9 * expected[i]) << k << " " << i;
    EXPECT_EQ(loops[k]->state().total_flos, state.total_flos);
    const std::vector<Parameter> a = alone[k]->model.weights().parameters(), b = together[k]->model.weights().parameters();
    for (size_t i = 0; i < a.size(); ++i)
      EXPECT_LE((a[i].value - b[i].value).abs().max().item<double>(), 1e-8 * a[i].value.abs().max().item<double>() + 1e-12)
          << k << " " << a[i].name;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, SixRuns,
                         testing::Values(Case{"llama-gqa-tied", "PROMPT_TUNING_LORA", false},
                                         Case{"t5-v1.0", "PROMPT_TUNING_LORA", false}, Case{"bert", "PROMPT_TUNING_LORA", true},
                                         Case{"roberta", "PROMPT_TUNING", true}, Case{"t5-v1.0", "ADEPT", false},
                                         Case{"llama-gqa-tied", "P_TUNING", false}, Case{"llama-gqa-tied", "ULPT", false}),
                         [](const auto& info) {
                           return str(std::string_view(info.param.model).substr(0, 2), info.param.method);
                         });

constexpr Case llama{"llama-gqa-tied", "PROMPT_TUNING_LORA", false};

struct Three {
  explicit Three(const fs::path& folder) {
    for (int k = 0; k < 3; ++k) runs.push_back(std::make_unique<OneOfSix>(folder / str(k), llama, k, backbone));
  }
  std::vector<TrainingLoop*> begin() {
    std::vector<TrainingLoop*> all;
    for (const auto& run : runs) all.push_back(loops.emplace_back(std::make_unique<TrainingLoop>(run->inputs())).get());
    return all;
  }

  std::shared_ptr<const Backbone> backbone = backbone_of(llama);
  std::vector<std::unique_ptr<OneOfSix>> runs;
  std::vector<std::unique_ptr<TrainingLoop>> loops;
};

TEST(Pass, ARunThatIsNotFiniteEndsAlone) {
  const Scratch scratch;
  Three three(scratch / "three");
  three.runs[1]->model.weights().parameters()[0].value.fill_(NAN);
  train(three.begin());
  EXPECT_EQ(three.loops[1]->state().step, 0);
  ASSERT_TRUE(three.loops[1]->failure);
  EXPECT_THROW(std::rethrow_exception(three.loops[1]->failure), NotFinite);
  for (const int k : {0, 2}) {
    EXPECT_FALSE(three.loops[k]->failure);
    OneOfSix alone(scratch / str("alone-", k), llama, k, three.backbone);
    const std::vector<double> expected = losses(run_whole(alone)), received = losses(three.loops[k]->state());
    ASSERT_EQ(received.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(received[i], expected[i], 1e-9 * expected[i]);
  }
}

TEST(Pass, ARunThatStopsEarlyLeavesTheOthersToGoOn) {
  const Scratch scratch;
  Three three(scratch / "three");
  EvaluationOptions& evaluation = three.runs[1]->options.evaluation;
  evaluation.eval_strategy = "steps";
  evaluation.eval_steps = 1;
  evaluation.early_stopping_patience = 2;
  evaluation.metric_for_best_model = "loss";
  three.runs[1]->options.optimizer.learning_rate = 0;
  three.runs[1]->options.optimizer.lora_embedding_lr = 0;
  three.runs[1]->options.output.save_strategy = "steps";
  three.runs[1]->options.output.save_steps = 1;
  train(three.begin());
  EXPECT_EQ(three.loops[1]->state().step, 3) << "the first evaluation is the best";
  EXPECT_EQ(three.loops[0]->state().step, 6);
  EXPECT_EQ(three.loops[2]->state().step, 8);
}

TEST(Pass, RunsThatEvaluateAtTheSameStepAreEvaluatedInOnePass) {
  const Scratch scratch;
  Three three(scratch / "three");
  std::array<int, 3> asked{};  // each pass over the data, once
  std::vector<TrainingLoop*> loops;
  const auto evaluates = [](OneOfSix& run) {
    run.options.evaluation.eval_strategy = "steps";
    run.options.evaluation.eval_steps = 2;
    run.rules.by = PredictBy::score;
  };
  for (size_t k = 0; k < 3; ++k) {
    OneOfSix& run = *three.runs[k];
    evaluates(run);
    run.interrupted = [&asked, k] { return ++asked[k] < 0; };
    const LoopInputs in{run.call,        run.options, run.task,  run.config,
                        run.model,       run.rules,   run.train, three.runs[0]->validation,
                        run.interrupted, run.logged};
    loops.push_back(three.loops.emplace_back(std::make_unique<TrainingLoop>(in)).get());
  }
  ASSERT_TRUE(loops[1]->evaluated_as(*loops[0]));
  train(loops);
  EXPECT_EQ(asked, (std::array{3, 0, 1})) << "at steps 2, 4 and 6 together, at step 8 the last by itself";
  for (int k = 0; k < 3; ++k) {
    OneOfSix alone(scratch / str("alone-", k), llama, k, three.backbone);
    evaluates(alone);
    const OrderedJson expected = run_whole(alone).log, received = three.loops[k]->state().log;
    ASSERT_EQ(received.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_EQ(received[i].contains("eval_loss"), expected[i].contains("eval_loss"));
      if (!expected[i].contains("eval_loss")) continue;
      EXPECT_EQ(received[i]["step"], expected[i]["step"]);
      EXPECT_EQ(received[i]["eval_accuracy"], expected[i]["eval_accuracy"]);
      const double loss = expected[i]["eval_loss"];
      EXPECT_NEAR(received[i]["eval_loss"].get<double>(), loss, 1e-9 * loss);
    }
  }
}

// Runs that came to different steps, as those that go on from their own checkpoints, share passes once the last has caught up.
TEST(Pass, RunsStackAtTheSameStep) {
  const Scratch scratch;
  Three three(scratch / "three");
  std::vector<TrainingLoop*> loops = three.begin();
  Pass pass;
  for (TrainingLoop* loop : loops) loop->start();
  for (int i = 0; i < 2; ++i) pass.step(std::span(loops).first(1));
  EXPECT_FALSE(loops[0]->stacks_with(*loops[1]));
  for (int i = 0; i < 2; ++i) pass.step(std::span(loops).subspan(1));
  EXPECT_TRUE(loops[0]->stacks_with(*loops[1]));
  while (loops[0]->goes_on()) pass.step(loops);
  OneOfSix alone(scratch / "alone", llama, 0, three.backbone);
  const std::vector<double> expected = losses(run_whole(alone)), received = losses(loops[0]->state());
  ASSERT_EQ(received.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(received[i], expected[i], 1e-9 * expected[i]);
}

TEST(Pass, WhatIsNotAlikeDoesNotStack) {
  const Scratch scratch;
  const std::shared_ptr<const Backbone> backbone = backbone_of(llama);
  OneOfSix one(scratch / "one", llama, 0, backbone), other_model(scratch / "two", llama, 0, backbone_of(llama)),
      smoothed(scratch / "three", llama, 0, backbone, 0.1),
      other_method(scratch / "four", {"llama-gqa-tied", "ULPT", false}, 0, backbone);
  TrainingLoop first(one.inputs());
  for (OneOfSix* other : {&other_model, &smoothed, &other_method}) EXPECT_FALSE(TrainingLoop(other->inputs()).stacks_with(first));
}

}  // namespace
}  // namespace dept
