// The whole program on a simulated device equals the CPU: training steps of every family and method, answers by greedy search,
// beams and samples, label scores, heads, a run with its checkpoints. Within a step nothing is read back, and the same seed gives
// the same bytes.
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "dept/train/step.h"
#include "unit/base/scratch.h"
#include "unit/train/device_parts.h"
#include "unit/train/tiny_run.h"

namespace dept {
namespace {

using testing::HasSubstr;

// Copies back to the CPU, which the simulated device alone counts.
void expect_reads(int64_t wanted, c10::Device device) {
  if (on_gpu || device.is_cpu()) return;
  EXPECT_EQ(sim::counts().to_host, wanted);
  EXPECT_GT(sim::counts().operators, 0);
}

// What some steps leave: their losses, all that trains, the optimiser's state.
std::vector<at::Tensor> train(AdaptedModel model, AdamForm form = AdamForm::hf) {
  const c10::Device device = model.backbone().context().device;
  AdamOptions adam;
  adam.form = form;
  adam.weight_decay = 0.01;
  Step step({}, model, adam, 0.5, 2);
  std::vector<at::Tensor> found;
  for (uint64_t i = 0; i < 2; ++i) {
    for (const uint64_t seed : {20 + i, 30 + i}) {
      const std::vector<Example> examples = examples_of(model, seed);
      sim::counts() = {};
      step.accumulate(examples);
      expect_reads(0, device);
    }
    found.push_back(step.update({{0.02, 0.01, 0.01, 0.01}}));
    expect_reads(static_cast<int64_t>(i), device);  // the norms of the step before alone
  }
  for (const Parameter& parameter : model.weights().parameters()) {
    EXPECT_EQ(parameter.value.device(), device);
    found.push_back(parameter.value);
  }
  for (const auto& [name, tensor] : step.state()) found.push_back(tensor);
  return found;
}

using Case = std::tuple<const char*, const Method*>;
class Devices : public testing::TestWithParam<Case> {
 protected:
  static ModelParts on(c10::Device device, at::ScalarType dtype) {
    return parts_on(context(device, dtype), std::get<0>(GetParam()), *std::get<1>(GetParam()));
  }
};

std::string name_of(const testing::TestParamInfo<Case>& test) {
  std::string name = str(std::get<0>(test.param), "_", std::get<1>(test.param)->peft_type);
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Methods, Devices, testing::Combine(testing::ValuesIn(device_models), testing::ValuesIn(methods())),
                         name_of);

TEST_P(Devices, TrainAsTheCpuDoes) {
  expect_alike(train(AdaptedModel(on(at::kCPU, at::kDouble))), train(AdaptedModel(on(other_device(), at::kDouble))), exact);
}

TEST(DevicesOfImages, TrainAsTheCpuDoes) {
  for (const char* name : {"t5-v1.0", "llama-gqa-tied"}) {
    const auto trained = [&](c10::Device device) {
      ModelParts parts = parts_on(context(device, at::kDouble), name, dept_method());
      add_images(parts);
      return train(AdaptedModel(std::move(parts)));
    };
    expect_alike(trained(at::kCPU), trained(other_device()), exact);
  }
}

class DevicesOfDept : public Devices {};
INSTANTIATE_TEST_SUITE_P(Dept, DevicesOfDept, testing::Combine(testing::ValuesIn(device_models), testing::Values(&dept_method())),
                         name_of);

TEST_P(DevicesOfDept, TrainAlikeInFp32AndTwiceTheSame) {
  const std::vector<at::Tensor> there = train(AdaptedModel(on(other_device(), at::kFloat)), AdamForm::torch);
  expect_alike(train(AdaptedModel(on(at::kCPU, at::kFloat)), AdamForm::torch), there, 1e-4);
  const std::vector<at::Tensor> again = train(AdaptedModel(on(other_device(), at::kFloat)), AdamForm::torch);
  for (size_t i = 0; i < there.size(); ++i) EXPECT_TRUE(again[i].cpu().equal(there[i].cpu())) << i;
}

TEST_P(DevicesOfDept, EvaluateAndAnswerAsTheCpuDoes) {
  if (on(at::kCPU, at::kDouble).has_head()) {
    for (const Pooling pooling : {Pooling::first, Pooling::cls, Pooling::mean}) {
      std::vector<at::Tensor> logits;
      for (const c10::Device device : {c10::Device(at::kCPU), other_device()}) {
        ModelParts parts = on(device, at::kDouble);
        add_head(parts, pooling);
        const AdaptedModel model(std::move(parts));
        logits.push_back(model.head_logits(collate(model.rules(), examples_of(model, 5))));
      }
      expect_alike({logits[0]}, {logits[1]}, exact);
    }
    return;
  }
  const AdaptedModel here(on(at::kCPU, at::kDouble)), there(on(other_device(), at::kDouble));
  const std::vector<Example> examples = examples_of(here, 5);
  const std::vector<Ids> labels = {{5, 1}, {7, 9, 1}, {3}};
  const std::vector<LabelNll> scores = here.label_nll(examples, labels), others = there.label_nll(examples, labels);
  for (size_t i = 0; i < scores.size(); ++i)
    for (size_t label = 0; label < labels.size(); ++label)
      EXPECT_NEAR(scores[i].nll[label], others[i].nll[label], 1e-10) << i << ", " << label;
  const Batch labelled = collate(here.rules(), examples);
  expect_alike({here.token_nll(labelled)}, {there.token_nll(labelled)}, exact);

  GenerationOptions greedy, beams, samples;
  greedy.max_new_tokens = beams.max_new_tokens = samples.max_new_tokens = 6;
  greedy.repetition_penalty = 1.3;
  beams.num_beams = 3;
  beams.num_return_sequences = 2;
  samples.do_sample = true;
  samples.num_return_sequences = 2;
  const auto answers = [&](const AdaptedModel& model, const GenerationOptions& options) {
    std::vector<std::vector<int64_t>> ids;
    const Batch batch = collate(model.rules(), examples, Purpose::answering);
    const Stream source = model.adapt_source({}, batch.source, batch.source_ids).source.stream;
    for (const auto& list : generate(model.text_model(), {source, {}, model.adapter().decoder_prompt()}, options))
      for (const Generated& answer : list) ids.push_back(answer.ids);
    return ids;
  };
  for (const GenerationOptions& options : {greedy, beams, samples}) EXPECT_EQ(answers(here, options), answers(there, options));
}

TEST_P(Devices, AnswerAlikeOnceFolded) {
  std::vector<at::Tensor> found;
  for (const c10::Device device : {c10::Device(at::kCPU), other_device()}) {
    const AdaptedModel model(fold(on(device, at::kDouble)));
    found.push_back(model.loss({}, collate(model.rules(), examples_of(model, 6))).nll);
  }
  expect_alike({found[0]}, {found[1]}, exact);
}

TEST(DeviceHead, ClassWeightsSmoothingAndNumbers) {
  for (const int64_t labels : {1, 3}) {
    std::vector<Gradients> found;
    for (const c10::Device device : {c10::Device(at::kCPU), other_device()}) {
      ModelParts parts = parts_on(context(device, at::kDouble), "llama-gqa-tied", dept_method());
      add_head(parts, Pooling::last, labels);
      parts.label_smoothing = labels == 1 ? 0 : 0.1;
      if (labels > 1) parts.class_weights = at::tensor({0.5, 1.0, 2.0}, at::kDouble);
      const AdaptedModel model(std::move(parts));
      const Batch batch = collate(model.rules(), examples_of(model, 7));
      sim::counts() = {};
      Gradients gradients;
      const BatchLoss loss = model.loss({}, batch, &gradients);
      expect_reads(0, device);
      gradients.push_back(loss.nll);
      found.push_back(gradients);
    }
    expect_alike(found[0], found[1], exact);
  }
}

TEST(DeviceStep, WithholdsAStepThatIsNotFiniteAndSaysSoWhenItIsRead) {
  ModelParts parts = parts_on(context(other_device(), at::kFloat), "llama-gqa-tied", dept_method());
  const int64_t D = parts.backbone->info().hidden;
  const DeptWeights weights{at::full({1, 2, D}, 0.1), at::full({1, 12, 1}, 0.1), at::zeros({1, 1, D})};
  parts.weights = dept_alone(weights, std::numeric_limits<double>::infinity());  // A·B = inf * 0
  AdaptedModel model(std::move(parts));
  const auto values = [&] {
    std::vector<at::Tensor> copies;
    for (const Parameter& parameter : model.weights().parameters()) copies.push_back(parameter.value.cpu());
    return copies;
  };
  const std::vector<at::Tensor> before = values();
  Step step({}, model, {}, 1.0, 1);
  const std::vector<Example> examples{{0, {5, 6, 7}, {8}}};
  step.accumulate(examples);
  step.update({{0.1, 0.1, 0.1}});
  const std::vector<at::Tensor> after = values();
  for (size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(after[i].equal(before[i])) << i;
  EXPECT_THAT(error_of(Code::bad_input, [&] { step.state(); }), HasSubstr("finite gradients"));
  step.accumulate(examples);
  EXPECT_THROW(step.update({{0.1, 0.1, 0.1}}), NotFinite);
}

TEST(DeviceRun, TrainsEvaluatesAndSavesAsOnTheCpu) {
  std::vector<std::vector<double>> losses;
  std::vector<at::Tensor> weights;
  for (const c10::Device device : {c10::Device(at::kCPU), other_device()}) {
    const Scratch scratch;
    TinyRun run(scratch / "run");
    ModelParts parts = tiny_parts("llama-gqa-tied");
    parts.backbone = load_backbone(fs::path(DEPT_TEST_DATA) / "parity/data/models/llama-gqa-tied", context(device, at::kFloat));
    run.model = AdaptedModel(std::move(parts));
    std::vector<double>& list = losses.emplace_back();
    run.logged = [&](const OrderedJson& entry) {
      for (const char* key : {"loss_exact", "eval_loss"})
        if (entry.contains(key)) list.push_back(entry[key].get<double>());
    };
    EXPECT_EQ(TrainingLoop(run.inputs()).run(), LoopEnd::done);
    weights.push_back(load_adapter(scratch / "run" / checkpoint_name(8), 32).weights.parameters().front().value);
  }
  ASSERT_GT(losses[0].size(), 4U);
  ASSERT_EQ(losses[0].size(), losses[1].size());
  for (size_t i = 0; i < losses[0].size(); ++i) EXPECT_NEAR(losses[0][i], losses[1][i], 1e-4 * losses[0][i]) << i;
  expect_alike({weights[0]}, {weights[1]}, 1e-3);
}

TEST(DeviceStorage, WeightsOfOtherTypesAreUsedAsOnTheCpu) {
  for (const Storage storage : {Storage::fp16, Storage::bf16}) {
    std::vector<at::Tensor> found;
    for (const c10::Device device : {c10::Device(at::kCPU), other_device()}) {
      ModelContext where = context(device, at::kDouble);
      where.storage = storage;
      const AdaptedModel model(parts_on(where, "llama-gqa-tied", dept_method()));
      found.push_back(model.loss({}, collate(model.rules(), examples_of(model, 8))).nll);
    }
    expect_alike({found[0]}, {found[1]}, exact);
  }
}

TEST(DeviceStorage, BlocksAndWholeNumbersAreRefused) {
  const fs::path data = fs::path(DEPT_TEST_DATA) / "parity/data/models";
  for (const auto& [storage, file] : {std::pair{Storage::int8, "llama-untied"}, {Storage::gguf, "llama-mixed.gguf"}}) {
    ModelContext where = context(other_device(), at::kFloat);
    where.storage = storage;
    EXPECT_THAT(error_of(Code::usage, [&] { load_backbone(data / file, where); }),
                HasSubstr("[backbone_dtype] expected same, fp32, fp16 or bf16 on a GPU, received "));
  }
}

}  // namespace
}  // namespace dept
