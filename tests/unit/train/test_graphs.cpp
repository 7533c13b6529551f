// Recorded training steps on a device that records: each replay, with another micro-step and other texts and lengths, equals the
// eager step; what was left as it was recorded shows in the same comparison.
#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>

#include <cmath>

#include "dept/kernels/graphs.h"
#include "dept/models/graphed.h"
#include "dept/tensor/upload.h"
#include "unit/train/device_parts.h"

namespace dept {
namespace {

using testing::HasSubstr;

MakeRecorder graph_maker() {
  return on_gpu ? kernels::cuda_graphs(other_device()) : sim::recorders();
}

// Of three texts and their answers.
struct Lengths {
  std::vector<size_t> sources, targets;
};
// Batches of one shape, one of another, which comes twice, and the first shape once more.
const std::vector<Lengths> few = {{{2, 5, 3}, {1, 2, 3}}, {{4, 1, 5}, {3, 1, 2}}, {{3, 5, 2}, {2, 3, 2}}};
const std::vector<Lengths> more = {{{12, 11, 9}, {3, 2, 1}}, {{10, 12, 10}, {3, 3, 2}}, {{1, 2, 5}, {1, 3, 3}}};
constexpr GraphOptions narrow{.tokens = 32, .longest = 8};

std::vector<Example> texts_of(const AdaptedModel& model, const Lengths& lengths, uint64_t seed) {
  std::vector<Example> texts = random_examples(3, seed);
  std::mt19937_64 random(seed);
  const auto fill = [&](Ids& ids, size_t length) {
    ids.resize(length);
    for (int64_t& id : ids) id = static_cast<int64_t>(random() % static_cast<uint64_t>(model.backbone().info().vocab));
  };
  for (size_t i = 0; i < texts.size(); ++i) {
    texts[i].index = static_cast<int64_t>(10 * seed + i);
    fill(texts[i].source, lengths.sources[i]);
    fill(texts[i].target, lengths.targets[i]);
    if (model.rules().visual) texts[i].image = "x", texts[i].visual = 2;
  }
  return texts;
}

// Each step's loss and all its gradients, on the CPU.
std::vector<at::Tensor> steps_of(const AdaptedModel& model, const std::vector<Lengths>& steps) {
  std::vector<at::Tensor> found;
  Call call;
  call.training = true;
  for (const Lengths& lengths : steps) {
    call.seeds = {41 + call.micro_step};
    Gradients gradients;
    found.push_back(
        model.loss(call, collate(model.rules(), texts_of(model, lengths, 3 + call.micro_step)), &gradients).nll.cpu());
    for (const at::Tensor& gradient : gradients) found.push_back(gradient.cpu());
    ++call.micro_step;
  }
  return found;
}

std::shared_ptr<const GraphedBackbone> record_steps(ModelParts& parts, const GraphOptions& options = narrow) {
  auto graphed = std::make_shared<GraphedBackbone>(parts.backbone, graph_maker(), options);
  parts.recorded = graphed;
  return graphed;
}

// What the steps give eagerly, and recorded.
struct Both {
  sim::Open open;  // all along: to close so much memory behind each operator takes minutes, and the tests of devices do
  std::vector<at::Tensor> eager, replayed;
  GraphCounts counts;

  Both(const std::function<ModelParts()>& make, const std::vector<Lengths>& steps, const GraphOptions& options = narrow)
      : eager(steps_of(AdaptedModel(make()), steps)) {
    ModelParts parts = make();
    const auto graphed = record_steps(parts, options);
    replayed = steps_of(AdaptedModel(std::move(parts)), steps);
    counts = graphed->counts();
    EXPECT_EQ(counts.replayed + counts.eager, static_cast<int64_t>(steps.size()));
  }
  double difference() const {
    double most = 0;
    for (size_t i = 0; i < eager.size(); ++i) most = std::max(most, test::difference(replayed[i], eager[i]));
    return most;
  }
};

class Graphs : public testing::TestWithParam<const char*> {
 protected:
  static std::function<ModelParts()> model(at::ScalarType dtype) {
    return [=] { return parts_on(context(other_device(), dtype), GetParam(), dept_method()); };
  }
};
INSTANTIATE_TEST_SUITE_P(Models, Graphs, testing::ValuesIn(device_models), [](const auto& test) {
  const std::string name = test.param;
  return name.substr(name.find('/') + 1, name.find('-', 0) - name.find('/') - 1);
});

TEST_P(Graphs, ReplayedStepsEqualEagerOnes) {
  std::vector<Lengths> steps = few;
  steps.insert(steps.end(), more.begin(), more.end());
  const Both found(model(at::kDouble), steps);
  EXPECT_LE(found.difference(), exact);
  EXPECT_EQ(found.counts.why, "");
  EXPECT_EQ(found.counts.recorded, 2);
  EXPECT_EQ(found.counts.replayed, 4);  // all but the first of each shape
}

TEST_P(Graphs, AlsoInFp32) {
  const Both found(model(at::kFloat), few);
  EXPECT_LE(found.difference(), 1e-5);
  EXPECT_EQ(found.counts.replayed, 2);
}

class GraphsOfOthers : public Graphs {};
INSTANTIATE_TEST_SUITE_P(Families, GraphsOfOthers,
                         testing::Values("families/gemma2", "families/qwen3", "families/gpt_neox", "families/t5-v1.1",
                                         "families/bart", "modernbert", "mpnet"),
                         [](const auto& test) {
                           std::string name = test.param;
                           name = name.substr(name.find('/') + 1);
                           std::erase_if(name, [](char c) { return c == '-' || c == '.'; });
                           return name;
                         });

TEST_P(GraphsOfOthers, ReplayedStepsEqualEagerOnes) {
  const Both found(model(at::kDouble), few);
  EXPECT_LE(found.difference(), exact);
  EXPECT_EQ(found.counts.why, "");
  EXPECT_EQ(found.counts.replayed, 2);
}

TEST(GraphsEager, DebertaWhoseRowsAreNumbersOfTheHost) {
  const Both found([] { return parts_on(context(other_device(), at::kDouble), "deberta", dept_method()); }, few);
  EXPECT_LE(found.difference(), 0);
  EXPECT_EQ(found.counts.replayed, 0);
  EXPECT_THAT(found.counts.why, HasSubstr("a step that is not recorded"));
}

TEST(GraphsEager, WhatIsNotRecordedRunsAsItIs) {
  const auto t5 = [] { return parts_on(context(other_device(), at::kDouble), "t5-v1.0", dept_method()); };
  const Both beyond(t5, {few[0], few[1], more[0], more[1]}, {.tokens = 32, .longest = 8, .most = 1});
  EXPECT_LE(beyond.difference(), exact);
  EXPECT_EQ(beyond.counts.recorded, 1);
  EXPECT_EQ(beyond.counts.replayed, 1);

  const Both images(
      [&] {
        ModelParts parts = t5();
        add_images(parts);
        return parts;
      },
      few);
  EXPECT_LE(images.difference(), 0);
  EXPECT_EQ(images.counts.eager, 3);
}

TEST(GraphsEager, AForwardBeforeTheBackwardOfAnother) {
  const sim::Open open;
  ModelParts parts = parts_on(context(other_device(), at::kDouble), "families/gpt2", dept_method());
  const auto graphed = record_steps(parts);
  const AdaptedModel model(std::move(parts));
  steps_of(model, {few[0]});
  const AdaptedBatch inputs = model.adapt({}, collate(model.rules(), texts_of(model, few[1], 1)));
  std::unique_ptr<Saved> first, second;
  const at::Tensor hidden = graphed->forward({}, inputs.source.stream, nullptr, &first);
  graphed->forward({}, inputs.source.stream, nullptr, &first);
  first.reset();
  const int64_t eager = graphed->counts().eager, replayed = graphed->counts().replayed;
  graphed->forward({}, inputs.source.stream, nullptr, &first);
  const at::Tensor again = graphed->forward({}, inputs.source.stream, nullptr, &second);
  EXPECT_EQ(graphed->counts().replayed, replayed + 1);
  EXPECT_EQ(graphed->counts().eager, eager + 1);
  EXPECT_LE(test::difference(again.cpu(), hidden.cpu()), exact);
  const at::Tensor d = graphed->backward(std::move(first), hidden).source,
                   wanted = graphed->backward(std::move(second), hidden).source;
  EXPECT_LE(test::difference(d.cpu(), wanted.cpu()), exact);
}

// What a family could do to a list of its own: say how it is made of any batch, hold it to be the same for all batches of a
// shape, or say nothing; or compute with a number of the batch.
enum class Fault { none, stale, number, silent };

// A model whose embeddings are multiplied with a number of each batch.
class Scaled : public Backbone {
 public:
  Scaled(std::shared_ptr<const Backbone> model, Fault fault)
      : Backbone(model->context()), model_(std::move(model)), fault_(fault) {}

  const ModelInfo& info() const override { return model_->info(); }
  at::Tensor embed(const at::Tensor& ids) const override { return model_->embed(ids); }
  at::Tensor forward(const Call& call, const Stream& source, const Stream* target, std::unique_ptr<Saved>* saved) const override {
    const Stream scaled{source.tokens,
                        fault_ == Fault::number ? source.embeds * number(source.tokens) : source.embeds * list(source.tokens)};
    return model_->forward(call, scaled, target, saved);
  }
  InputGradients backward(std::unique_ptr<Saved> saved, const at::Tensor& d_hidden) const override {
    return model_->backward(std::move(saved), d_hidden);
  }
  at::Tensor pool(const at::Tensor& hidden) const override { return model_->pool(hidden); }
  at::Tensor pool_backward(const at::Tensor& d, const at::Tensor& hidden) const override {
    return model_->pool_backward(d, hidden);
  }

 private:
  static double number(const Ragged& tokens) { return 1 + 0.1 * static_cast<double>(tokens.length(0)); }
  at::Tensor list(const Ragged& tokens) const {
    const auto make = [](const Ragged& of) { return at::tensor({number(of)}, at::kDouble); };
    const c10::Device device = context().device;
    if (fault_ == Fault::stale) return upload_fixed(make(tokens), device);
    if (fault_ == Fault::silent) return upload(make(tokens), device);
    return upload(make(tokens), device, [make](const StepBatch& now) { return make(now.source); });
  }

  std::shared_ptr<const Backbone> model_;
  Fault fault_;
};

Both with_fault(Fault fault) {
  return Both(
      [=] {
        ModelParts parts = parts_on(context(other_device(), at::kDouble), "bert", dept_method());
        parts.backbone = std::make_shared<Scaled>(parts.backbone, fault);
        return parts;
      },
      few);
}

TEST(GraphsFaults, AStaleListAndABakedNumberAreCaught) {
  const Both right = with_fault(Fault::none);
  EXPECT_LE(right.difference(), exact);
  EXPECT_EQ(right.counts.replayed, 2);
  for (const Fault fault : {Fault::stale, Fault::number}) {
    const Both wrong = with_fault(fault);
    EXPECT_EQ(wrong.counts.replayed, 2);
    EXPECT_GT(wrong.difference(), 1e-3);
  }
}

TEST(GraphsFaults, AListThatCannotBeMadeAgainIsNotRecorded) {
  const Both silent = with_fault(Fault::silent);
  EXPECT_LE(silent.difference(), 0);
  EXPECT_EQ(silent.counts.replayed, 0);
  EXPECT_THAT(silent.counts.why, HasSubstr("lists that can be made of another batch"));
}

}  // namespace
}  // namespace dept
