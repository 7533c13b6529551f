#include "dept/train/step.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

struct MicroBatch {
  BatchLoss loss;
  Gradients gradients;
};

// One flat all-reduce carries gradients, loss sums and token counts.
void sum_over_ranks(Collective* group, MicroBatch& micro) {
  if (group == nullptr || group->size() == 1) return;
  std::vector<at::Tensor*> parts = {&micro.loss.nll, &micro.loss.tokens};
  for (at::Tensor& gradient : micro.gradients) parts.push_back(&gradient);
  std::vector<at::Tensor> pieces;
  for (const at::Tensor* part : parts) pieces.push_back(part->to(at::kCPU, at::kDouble).flatten());
  at::Tensor flat = at::cat(pieces);
  group->all_reduce_sum(flat);
  int64_t offset = 0;
  for (at::Tensor* part : parts) {
    *part = flat.narrow(0, offset, part->numel()).view(part->sizes()).to(part->options());
    offset += part->numel();
  }
}

// Sums become means over what the micro-batch's loss counts, times its share in the step.
void average(MicroBatch& micro, double share) {
  const at::Tensor& count = micro.loss.tokens;  // class weights may sum to less than 1
  const at::Tensor factor = share / count.masked_fill(count.le(0), 1);
  for (at::Tensor& gradient : micro.gradients) {
    std::vector<int64_t> shape(gradient.dim(), 1);
    shape[0] = -1;
    gradient = gradient * factor.to(gradient.options()).view(shape);
  }
  micro.loss.nll = micro.loss.nll * factor;
}

MicroBatch nothing(const AdapterWeights& weights) {
  const at::Tensor none = at::zeros({weights.configs()}, at::kDouble);
  return {{none, none.clone()}, no_gradients(weights.parameters())};
}

Call training_call(Call call) {
  call.training = true;
  return call;
}

}  // namespace

Step::Step(const Call& call, AdaptedModel& model, const AdamOptions& adam, double max_grad_norm, int64_t accumulation)
    : call_(training_call(call)),
      model_(model),
      trainables_(list_trainables(model.weights().parameters())),
      optimizer_(trainables_, adam),
      max_grad_norm_(max_grad_norm),
      share_(1.0 / static_cast<double>(accumulation)),
      loss_(at::zeros({model.weights().configs()}, at::kDouble)) {}

at::Tensor Step::accumulate(std::span<const Example> examples) {
  MicroBatch micro;
  if (examples.empty())
    micro = nothing(model_.weights());
  else
    micro.loss = model_.loss(call_, collate(model_.rules(), examples, Purpose::training), &micro.gradients);
  sum_over_ranks(call_.group, micro);
  average(micro, share_);
  add_gradients(trainables_, micro.gradients);
  loss_ = loss_ + micro.loss.nll;
  ++call_.micro_step;
  return micro.loss.tokens;
}

void Step::add_loss(double loss) {
  loss_ = loss_ + loss;
}

at::Tensor Step::update(const std::vector<Rates>& rates) {
  // Before the weights move, so that none that are not finite are ever saved.
  for (double norm : clip_gradients(trainables_, max_grad_norm_))
    if (!std::isfinite(norm)) throw NotFinite("training", "finite gradients", norm);
  optimizer_.step(rates);
  zero_gradients(trainables_);
  return std::exchange(loss_, at::zeros_like(loss_));
}

void Step::restore(const NamedTensors& state, int64_t micro_steps) {
  optimizer_.load_state(state);
  call_.micro_step = static_cast<uint32_t>(micro_steps);
}

}  // namespace dept
