// Training steps of a backbone as recorded stretches of device work (CUDA graphs): what costs the CPU the most of a step, naming
// its thousand kernels one by one, is done once for all batches of a shape.
#pragma once

#include <memory>
#include <string>

#include "dept/models/backbone.h"
#include "dept/tensor/recorder.h"

namespace dept {

struct GraphOptions {
  int64_t tokens = 256, longest = 64;  ///< steps in which a batch's tokens and its longest sequence are rounded up
  int64_t most = 32;                   ///< shapes that are recorded; further ones are not
};

/// What became of the forward passes that a backward follows.
struct GraphCounts {
  int64_t recorded = 0;  ///< shapes
  int64_t replayed = 0, eager = 0;
  std::string why;  ///< why the last shape that could not be recorded could not; "": all could
};

/// A backbone whose forward and backward are replayed for batches of a shape that has been seen before: as many sequences and,
/// rounded up, as many tokens and as long a longest sequence. A batch is filled up with sequences of zeros, which no other reads,
/// so that results differ by the rounding of larger products alone. Eager, as the backbone itself: forward without `saved`, a
/// shape's first batch, shapes beyond the most, what cannot be recorded, a forward while another one's backward is still to come.
class GraphedBackbone : public Backbone {
 public:
  /// `make` records on the model's device.
  GraphedBackbone(std::shared_ptr<const Backbone> model, MakeRecorder make, const GraphOptions& options = {});
  ~GraphedBackbone() override;

  const ModelInfo& info() const override { return model_->info(); }
  at::Tensor embed(const at::Tensor& ids) const override { return model_->embed(ids); }
  at::Tensor forward(const Call& call, const Stream& source, const Stream* target, std::unique_ptr<Saved>* saved) const override;
  InputGradients backward(std::unique_ptr<Saved> saved, const at::Tensor& d_hidden) const override;
  at::Tensor pool(const at::Tensor& hidden) const override { return model_->pool(hidden); }
  at::Tensor pool_backward(const at::Tensor& d_pooled, const at::Tensor& hidden) const override {
    return model_->pool_backward(d_pooled, hidden);
  }

  const GraphCounts& counts() const;

 private:
  class StepGraph;
  struct Graphs;
  struct Replayed;

  std::shared_ptr<const Backbone> model_;
  std::shared_ptr<Graphs> graphs_;
};

}  // namespace dept
