// DePT on T5 and Llama as a textbook would write it: padded, in fp64, with autograd, sharing no kernel with the product. It draws
// the same dropout masks from the same keys.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <span>
#include <vector>

#include "dept/base/json.h"
#include "dept/data/batch.h"
#include "dept/tensorio/tensor_source.h"
#include "support/dept_adapter.h"

namespace dept {

struct PaddedResult {
  double nll;            ///< sum over the label tokens
  DeptWeights gradient;  ///< of that sum
};

class PaddedReference {
 public:
  explicit PaddedReference(const fs::path& model);

  /// One configuration's weights (fp64, K = 1). `dropout` off: the model at rest.
  PaddedResult run(const DeptWeights& weights, double scale, std::span<const Example> examples, bool dropout, uint64_t seed,
                   uint32_t micro_step, DeltaAlignment alignment) const;

 private:
  struct Run;
  at::Tensor weight(const std::string& name) const;
  at::Tensor linear(const at::Tensor& x, const std::string& name) const;
  at::Tensor norm(const at::Tensor& x, const std::string& name) const;
  at::Tensor heads(const at::Tensor& x, int64_t count) const;
  at::Tensor t5_bias(const std::string& stack, int64_t queries, int64_t keys, bool both) const;
  at::Tensor t5_stack(const Run& run, const std::string& stack, at::Tensor h, const std::vector<int64_t>& lengths,
                      const at::Tensor& memory, const std::vector<int64_t>& memory_lengths) const;
  at::Tensor llama(at::Tensor h, const std::vector<int64_t>& lengths) const;

  std::unique_ptr<TensorSource> file_;
  Json config_;
  bool t5_;
};

}  // namespace dept
