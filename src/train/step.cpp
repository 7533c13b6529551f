#include "dept/train/step.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

#include "dept/adapter/stack.h"
#include "dept/base/error.h"
#include "dept/base/text.h"
#include "train/filler.h"

namespace dept {
namespace {

struct MicroBatch {
  BatchLoss loss;
  Gradients gradients;
};

// One flat all-reduce carries gradients, loss sums and token counts, and whether a rank wishes to leave. Returns whether any
// does. What is summed stays fp64, on a rank without examples too, so that all ranks go on with the same numbers.
bool sum_over_ranks(Collective* group, MicroBatch& micro, bool wish) {
  if (group == nullptr || group->size() == 1) return wish;
  std::vector<at::Tensor*> parts = {&micro.loss.nll, &micro.loss.tokens};
  for (at::Tensor& gradient : micro.gradients) parts.push_back(&gradient);
  std::vector<at::Tensor> pieces;
  for (const at::Tensor* part : parts) pieces.push_back(part->to(at::kCPU, at::kDouble).flatten());
  pieces.push_back(at::full({1}, wish ? 1 : 0, at::kDouble));
  at::Tensor flat = at::cat(pieces);
  group->all_reduce_sum(flat);
  int64_t offset = 0;
  for (at::Tensor* part : parts) {
    *part = flat.narrow(0, offset, part->numel()).view(part->sizes()).to(part->device());
    offset += part->numel();
  }
  return flat[offset].item<double>() > 0;
}

// Sums become means over what the micro-batch's loss counts, times its share in the step, fp64 [K].
void average(MicroBatch& micro, const at::Tensor& share) {
  const at::Tensor& count = micro.loss.tokens;  // class weights may sum to less than 1
  const at::Tensor factor = share / count.masked_fill(count.le(0), 1);
  for (at::Tensor& gradient : micro.gradients) {
    std::vector<int64_t> shape(gradient.dim(), 1);
    shape[0] = -1;
    gradient = gradient * factor.to(gradient.options()).view(shape);
  }
  micro.loss.nll = micro.loss.nll * factor.to(micro.loss.nll.device());
}

// fp64 [K] zeros where the weights are.
at::Tensor no_loss(const AdapterWeights& weights) {
  return at::zeros({weights.configs()}, at::TensorOptions(at::kDouble).device(weights.input->device()));
}

MicroBatch nothing(const AdapterWeights& weights) {
  return {{no_loss(weights), at::zeros({weights.configs()}, at::kDouble)}, no_gradients(weights.parameters())};
}

Call training_call(Call call) {
  call.training = true;
  return call;
}

// The part of configuration k.
MicroBatch part_of(const MicroBatch& micro, int64_t k) {
  MicroBatch part{{micro.loss.nll.narrow(0, k, 1), micro.loss.tokens.narrow(0, k, 1)}, {}};
  for (const at::Tensor& gradient : micro.gradients) part.gradients.push_back(gradient.narrow(0, k, 1));
  return part;
}

// A batch of the parts' examples in turn, each with its part's configuration.
Batch collate_parts(const EncodeRules& rules, const Call& call, std::span<const StepPart> parts) {
  std::vector<Example> examples;
  std::vector<int64_t> config;
  for (size_t k = 0; k < parts.size(); ++k) {
    std::vector<Example> drawn;
    const std::span<const Example> mine = draw_targets(parts[k].examples, call.seeds.at(k), call.micro_step, drawn);
    examples.insert(examples.end(), mine.begin(), mine.end());
    config.insert(config.end(), parts[k].examples.size(), static_cast<int64_t>(k));
  }
  Batch batch = collate(rules, examples, Purpose::training);
  for (Ragged* tokens : {&batch.source, &batch.target})
    if (tokens->batch() > 0) tokens->config = config;
  return batch;
}

// Whether the stack's memory is where the weights are.
bool holds(const AdapterWeights& stack, const AdapterWeights& part, int64_t k) {
  const std::vector<Parameter> whole = stack.parameters(), own = part.parameters();
  for (size_t i = 0; i < whole.size(); ++i)
    if (own.at(i).value.numel() > 0 && own[i].value.const_data_ptr() != whole[i].value[k].const_data_ptr()) return false;
  return true;
}

// A batch adds up alike whether it stands alone, in a stack of runs or is a rank's part: exactly so with labels as targets.
Batch own_part(const AdaptedModel& model, Batch batch, int64_t longest_target) {
  return model.backbone().context().device.is_cpu() ? with_filler(std::move(batch), longest_target) : batch;
}

}  // namespace

Step::Step(const Call& call, AdaptedModel& model, const AdamOptions& adam, double max_grad_norm, int64_t accumulation)
    : call_(training_call(call)),
      model_(model),
      trainables_(list_trainables(model.weights().parameters())),
      optimizer_(trainables_, adam),
      max_grad_norm_(max_grad_norm),
      share_(1.0 / static_cast<double>(accumulation)),
      loss_(no_loss(model.weights())) {}

at::Tensor Step::accumulate(std::span<const Example> examples, int64_t longest_target) {
  MicroBatch micro;
  if (examples.empty())
    micro = nothing(model_.weights());
  else
    micro.loss = model_.loss(call_, own_part(model_, training_batch(examples), longest_target), &micro.gradients);
  agreed_ = sum_over_ranks(call_.group, micro, wish_);
  average(micro, at::tensor(share_, at::kDouble));
  add(micro.loss.nll, micro.gradients);
  return micro.loss.tokens;
}

Batch Step::training_batch(std::span<const Example> examples) const {
  std::vector<Example> drawn;
  return collate(model_.rules(), draw_targets(examples, call_.seeds.front(), call_.micro_step, drawn), Purpose::training);
}

void Step::add(const at::Tensor& loss, const Gradients& gradients) {
  add_gradients(trainables_, gradients);
  loss_ = loss_ + loss;
  ++call_.micro_step;
}

// What a batch's loss depends on but weights, seeds and examples. How texts become ids is behind the examples.
bool Step::stacks_with(const Step& other) const {
  if (this == &other) return true;
  const ModelParts &a = model_.parts(), &b = other.model_.parts();
  const bool same_weights = a.class_weights.defined() == b.class_weights.defined() &&
                            (!a.class_weights.defined() || at::equal(a.class_weights, b.class_weights));
  const bool same_rules = a.rules.alignment == b.rules.alignment && a.rules.max_source == b.rules.max_source &&
                          a.rules.decoder_start_id == b.rules.decoder_start_id;
  return call_.micro_step == other.call_.micro_step && a.backbone == b.backbone && alike(a.weights, b.weights) && same_weights &&
         same_rules && a.pooling == b.pooling && a.backbone_dropout == b.backbone_dropout &&
         a.label_smoothing == b.label_smoothing;
}

bool Step::agreed_to_leave(bool wish) {
  wish_ = wish;
  return call_.group == nullptr ? wish : agreed_;
}

void Step::add_loss(double loss) {
  loss_ = loss_ + loss;
}

namespace {

void require_finite(at::ArrayRef<double> norms) {
  for (const double norm : norms)
    if (!std::isfinite(norm)) throw NotFinite("training", "finite gradients", norm);
}

}  // namespace

at::Tensor Step::update(const std::vector<Rates>& rates) {
  if (loss_.is_cpu() || trainables_.empty()) {
    // Before the weights move, so that none that are not finite are ever saved.
    require_finite(clip_gradients(trainables_, max_grad_norm_));
    optimizer_.step(rates);
  } else {
    const at::Tensor norms = clip_on_device(trainables_, max_grad_norm_);
    optimizer_.step_on_device(rates, norms);
    require_finite_gradients();  // of the step before, while the device computes this one
    pending_norms_ = norms;
  }
  zero_gradients(trainables_);
  return std::exchange(loss_, at::zeros_like(loss_));
}

void Step::require_finite_gradients() const {
  if (!pending_norms_.defined()) return;
  const at::Tensor norms = pending_norms_.cpu();
  require_finite({norms.const_data_ptr<double>(), static_cast<size_t>(norms.numel())});
}

NamedTensors Step::state() const {
  require_finite_gradients();
  NamedTensors state = optimizer_.state();
  for (auto& [name, tensor] : state) tensor = tensor.cpu();
  return state;
}

void Step::restore(const NamedTensors& state, int64_t micro_steps) {
  optimizer_.load_state(state);
  call_.micro_step = static_cast<uint32_t>(micro_steps);
}

const AdaptedModel& StepStack::joined(std::span<const StepPart> parts) {
  bool same = model_ && model_->weights().configs() == static_cast<int64_t>(parts.size());
  for (size_t k = 0; same && k < parts.size(); ++k)
    same = holds(model_->weights(), parts[k].step->model_.weights(), static_cast<int64_t>(k));
  if (same) return *model_;
  std::vector<const AdapterWeights*> weights;
  for (const StepPart& part : parts) weights.push_back(&part.step->model_.weights());
  ModelParts stacked = parts.front().step->model_.parts();
  stacked.weights = stack_weights(weights);
  return model_.emplace(std::move(stacked));
}

std::vector<at::Tensor> StepStack::accumulate(std::span<const StepPart> parts) {
  if (parts.size() == 1) return {parts.front().step->accumulate(parts.front().examples, parts.front().longest_target)};
  const AdaptedModel& model = joined(parts);
  Call call = parts.front().step->call_;
  call.seeds.clear();
  std::vector<double> shares;
  for (const StepPart& part : parts) {
    call.seeds.push_back(part.step->call_.seeds.front());
    shares.push_back(part.step->share_);
  }
  MicroBatch micro;
  int64_t longest = 0;
  for (const StepPart& part : parts) longest = std::max(longest, part.longest_target);
  micro.loss = model.loss(call, own_part(model, collate_parts(model.rules(), call, parts), longest), &micro.gradients);
  average(micro, at::tensor(shares, at::kDouble));
  std::vector<at::Tensor> counted;
  for (size_t k = 0; k < parts.size(); ++k) {
    const MicroBatch part = part_of(micro, static_cast<int64_t>(k));
    parts[k].step->add(part.loss.nll, part.gradients);
    counted.push_back(part.loss.tokens);
  }
  return counted;
}

}  // namespace dept
