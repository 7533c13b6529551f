// All that trains beside a frozen model: an adapter of its inputs, for classification a head, for images their embedding.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "dept/adapter/head.h"
#include "dept/adapter/input_adapter.h"
#include "dept/adapter/visual_embedding.h"

namespace dept {

struct AdapterWeights {
  std::shared_ptr<const InputAdapter> input;
  HeadWeights head;
  at::Tensor idle;  ///< [K, M, D] rows behind P in files of the original that nothing uses or moves; else undefined
  VisualWeights visual{};

  /// K.
  int64_t configs() const { return input->configs(); }
  bool has_head() const { return head.form != HeadForm::none; }
  bool has_visual() const { return visual.form != VisualForm::none; }
  /// The adapter's, then the head's, then those of the visual embedding.
  std::vector<Parameter> parameters() const;
};

/// All of it on `device`; what is there already stays the same memory.
AdapterWeights placed(const AdapterWeights& weights, at::Device device);

/// Zeros for each of a list of parameters.
Gradients no_gradients(const std::vector<Parameter>& parameters);

}  // namespace dept
