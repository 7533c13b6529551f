// AdamW (Loshchilov and Hutter, arXiv 1711.05101) in its two forms, and clipping, each for K stacked configurations.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "dept/tensorio/tensor_source.h"
#include "dept/train/trainables.h"

namespace dept {

enum class AdamForm {
  hf,     ///< transformers' own: epsilon joins sqrt(v) before bias correction, decay after the step
  torch,  ///< torch.optim.AdamW: epsilon joins after bias correction, decay before the step
};

/// "adamw_hf" or "adamw_torch". Throws usage.
AdamForm parse_optim(std::string_view name);

struct AdamOptions {
  AdamForm form = AdamForm::hf;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-6;
  double weight_decay = 0;
};

/// Learning rates of one configuration, indexed by Group.
using Rates = std::array<double, groups>;

class AdamW {
 public:
  /// Moves the values of `trainables` (fp32 or fp64) by their gradients; its state has their dtype.
  AdamW(std::vector<Trainable> trainables, const AdamOptions& options);

  /// One step; rates[k] are configuration k's.
  void step(const std::vector<Rates>& rates);
  /// The same for weights on a device, without a wait for it (src/train/optimizer_on_device.cpp). norms fp64 [K], there: a
  /// configuration whose norm is not finite stays as it is.
  void step_on_device(const std::vector<Rates>& rates, const at::Tensor& norms);
  int64_t steps() const { return steps_; }

  /// "NAME.exp_avg" and "NAME.exp_avg_sq" of each trainable, and "step", int64 [1].
  NamedTensors state() const;
  /// Takes back what state() gave. Throws bad_input naming the tensor that is missing, left over or of another shape or dtype.
  void load_state(const NamedTensors& state);

 private:
  struct Moments {
    at::Tensor mean, square;
  };
  std::vector<Trainable> trainables_;
  std::vector<Moments> moments_;
  AdamOptions options_;
  int64_t steps_ = 0;
};

/// Scales each configuration's gradients by min(1, max_norm / (norm + 1e-6)) with the norm of all its gradients together.
/// Returns the norms [K] before clipping. max_norm <= 0: nothing is scaled.
std::vector<double> clip_gradients(std::vector<Trainable>& trainables, double max_norm);
/// The same for gradients on a device, where the norms stay: fp64 [K]. There is at least one trainable.
at::Tensor clip_on_device(std::vector<Trainable>& trainables, double max_norm);

}  // namespace dept
