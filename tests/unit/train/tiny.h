// A tiny model with a random adapter, and random examples for it.
#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/randn.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "dept/train/model_parts.h"
#include "support/dept_adapter.h"

namespace dept {

inline at::Tensor noise(at::IntArrayRef shape, uint64_t seed) {
  return 0.3 * at::randn(shape, at::detail::createCPUGenerator(seed));
}

/// The models of tests/parity/make/models.py: "llama-gqa-tied", "llama-untied", "t5-v1.0". No tokenizer.
inline ModelParts tiny_parts(const std::string& name, int64_t M = 3, int64_t S = 12, int64_t R = 2) {
  ModelParts parts;
  parts.backbone = load_backbone(std::string(DEPT_TEST_DATA) + "/parity/data/models/" + name, {});
  const ModelInfo& info = parts.backbone->info();
  parts.rules.architecture = info.architecture;
  parts.rules.max_source = S;
  parts.rules.end_id = 1;
  parts.rules.decoder_start_id = info.decoder_start_id.value_or(0);
  const DeptWeights weights{noise({1, M, info.hidden}, 1), noise({1, S, R}, 2), noise({1, R, info.hidden}, 3)};
  parts.weights = dept_alone(weights, 2 * std::sqrt(static_cast<double>(R)));
  return parts;
}

/// Its labels evaluated by a random head instead.
inline ModelParts tiny_classifier(const std::string& name, int64_t labels, Pooling pooling) {
  ModelParts parts = tiny_parts(name);
  const ModelInfo& info = parts.backbone->info();
  parts.rules.head = true;
  parts.pooling = pooling;
  parts.weights.head = init_head(info.head, labels, info.hidden, 0.3, at::detail::createCPUGenerator(4));
  return parts;
}

inline std::vector<Example> random_examples(int64_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<Example> examples(count);
  for (int64_t i = 0; i < count; ++i) {
    examples[i].index = i;
    examples[i].source.resize(1 + random() % 9);
    for (int64_t& id : examples[i].source) id = static_cast<int64_t>(random() % 96);
    examples[i].target = {static_cast<int64_t>(random() % 96), static_cast<int64_t>(random() % 96), 1};
    examples[i].target.resize(1 + random() % 3);
    examples[i].value = static_cast<double>(i % 3);
  }
  return examples;
}

}  // namespace dept
