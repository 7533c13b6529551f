// A step's lists at fixed addresses, for a recorded step that is replayed with other batches: its kernels read the lists through
// the pointers that they were recorded with.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "dept/tensor/context.h"
#include "dept/tensor/ragged.h"

namespace dept {

/// All that the lists of a training step are made of.
struct StepBatch {
  Call call;
  Ragged source, target;  ///< with their parts set; target is empty where a model has none

  /// Throws bug for BatchPart::none: such a list belongs to no batch of the step.
  const Ragged& of(BatchPart part) const;
};

/// A list made anew for a batch: a contiguous tensor of the CPU, of the same shape and dtype for every batch of the step's
/// bucket.
using TableRecipe = std::function<at::Tensor(const StepBatch&)>;

/// The lists that one step uploads, in the order in which it does. The first pass collects them, each with how it is made; then
/// they are placed, and every further pass is given the places.
class Tables {
 public:
  /// Those that uploads of this thread go to, as the operators of a stream that is captured go to its graph; null: none.
  static Tables* current();

  /// While one lives, the uploads of this thread go to `tables`, from the first on.
  class Use {
   public:
    explicit Use(Tables& tables);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    Tables* before_;
  };

  /// For the first pass, which is one of `sample`.
  explicit Tables(StepBatch sample) : sample_(std::move(sample)) {}

  /// The next list, `now`, on `device`. Throws bug where `again` does not make `now` of the sample, and where a further pass
  /// uploads other lists than the first.
  at::Tensor take(const at::Tensor& now, c10::Device device, TableRecipe again);

  /// Gives the lists their places, in one block of the device's memory.
  void place(c10::Device device);
  /// Makes every list anew and sends them in one copy, for which nothing waits. Throws bug for a list of another length.
  void refill(const StepBatch& now);

  int64_t count() const { return static_cast<int64_t>(lists_.size()); }

 private:
  struct List {
    TableRecipe again;
    int64_t first, bytes;  // in the block
  };

  StepBatch sample_;
  std::vector<List> lists_;
  int64_t bytes_ = 0;
  size_t next_ = 0;
  at::Tensor block_;  // uint8; undefined: the first pass
};

}  // namespace dept
