// Tiny models on a device beside the CPU: the simulated one, or a GPU in a build with CUDA on a machine that has one.
#pragma once

#include <gtest/gtest.h>

#include "dept/tensor/device.h"
#include "support/sim_device.h"
#include "unit/kernels/support.h"
#include "unit/train/tiny.h"

namespace dept {

// A GPU in a build with CUDA on a machine that has one.
inline const bool on_gpu = gpu_count() > 0;
inline c10::Device other_device() {
  return on_gpu ? open_device("cuda") : sim::device();
}
inline const double exact = on_gpu ? 1e-10 : 1e-12;

inline constexpr const char* device_models[] = {"t5-v1.0", "llama-gqa-tied", "families/gpt2", "bert"};

inline ModelContext context(c10::Device device, at::ScalarType compute) {
  ModelContext made;
  made.device = device;
  made.compute = compute;
  return made;
}

// A method's adapter in which no tensor is left at zero.
inline AdapterWeights some_weights(const Method& method, const ModelInfo& info, at::ScalarType dtype) {
  AdapterShape shape;
  shape.prompt_tokens = 3;
  shape.submodules = info.encoder_decoder() ? 2 : 1;
  shape.width = info.hidden;
  shape.rank = 2;
  shape.max_length = 12;
  shape.hidden = 5;
  shape.alpha = 4;
  shape.dropout = method.fields.dropout ? 0.2 : 0;
  std::vector<at::Tensor> values;
  for (const AdapterTensor& tensor : method.tensors(shape)) {
    std::vector<int64_t> sizes = tensor.shape;
    sizes.insert(sizes.begin(), 1);
    values.push_back(noise(sizes, 11 + values.size()).to(dtype));
  }
  return {make_adapter(method, shape, values), {}, {}};
}

inline void add_head(ModelParts& parts, Pooling pooling, int64_t labels = 3) {
  const ModelInfo& info = parts.backbone->info();
  parts.rules.head = true;
  parts.pooling = pooling;
  parts.weights.head = init_head(info.head, labels, info.hidden, 0.3, at::detail::createCPUGenerator(4));
  for (const HeadTensor& tensor : head_tensors(info.head, labels, info.hidden)) {
    at::Tensor& value = parts.weights.head.*tensor.tensor;
    value = value.to(parts.backbone->context().compute);
  }
}

// Two tokens of three numbers, of which an image's name decides.
class DrawnImages : public VisualSource {
 public:
  at::Tensor read(const std::string& image) const override { return noise({2, 3}, image.size()); }
  int64_t channels() const override { return 3; }
  int64_t tokens() const override { return 2; }
};

inline void add_images(ModelParts& parts) {
  const ModelInfo& info = parts.backbone->info();
  const VisualForm form = info.encoder_decoder() ? VisualForm::clip_t5 : VisualForm::linear;
  parts.rules.visual = std::make_shared<const VisualInput>(std::make_unique<DrawnImages>(), false);
  parts.weights.visual = init_visual(form, {2, 3, info.hidden}, at::detail::createCPUGenerator(6));
  for (const VisualTensor& tensor : visual_tensors(form, {})) {
    at::Tensor& value = parts.weights.visual.*tensor.tensor;
    value = value.to(parts.backbone->context().compute);
  }
}

// Weights are made on the CPU; an AdaptedModel moves them to its device.
inline ModelParts parts_on(const ModelContext& where, const char* name, const Method& method) {
  ModelParts parts;
  parts.backbone = load_backbone(fs::path(DEPT_TEST_DATA) / "parity/data/models" / name, where);
  const ModelInfo& info = parts.backbone->info();
  parts.rules.architecture = info.architecture;
  parts.rules.max_source = 12;
  parts.rules.end_id = 1;
  parts.rules.decoder_start_id = info.decoder_start_id.value_or(0);
  parts.weights = some_weights(method, info, where.compute);
  if (info.architecture == Architecture::encoder) add_head(parts, Pooling::mean);
  return parts;
}

inline std::vector<Example> examples_of(const AdaptedModel& model, uint64_t seed) {
  std::vector<Example> list = random_examples(4, seed);
  const int64_t vocab = model.backbone().info().vocab;
  for (Example& example : list)
    for (Ids* ids : {&example.source, &example.target})
      for (int64_t& id : *ids) id %= vocab;
  if (model.rules().visual)
    for (size_t i = 0; i < list.size(); ++i) list[i].image = std::string(i + 1, 'x'), list[i].visual = 2;
  return list;
}

inline void expect_alike(const std::vector<at::Tensor>& here, const std::vector<at::Tensor>& there, double tolerance) {
  ASSERT_EQ(here.size(), there.size());
  for (size_t i = 0; i < here.size(); ++i) {
    EXPECT_EQ(here[i].scalar_type(), there[i].scalar_type());
    EXPECT_LE(test::difference(there[i].cpu(), here[i].cpu()), tolerance) << i;
  }
}

}  // namespace dept
