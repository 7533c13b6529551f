#include "dept/train/data_order.h"

#include <algorithm>
#include <numeric>

#include "dept/dist/ranks.h"
#include "train/loop_rules.h"

namespace dept {

DataOrder::DataOrder(const LoopInputs& inputs)
    : in_(inputs),
      sampler_(static_cast<int64_t>(in_.train.examples.size()), order_seed(in_.options.schedule),
               groups_by_length(in_.options.schedule) ? 1 : 2),
      batches_per_epoch_(count_batches(in_)),
      counted_parameters_(counted_parameters(in_)) {
  for (const Ids& label : in_.rules.label_ids) longest_label_ = std::max(longest_label_, label.size());
  if (!groups_by_length(in_.options.schedule)) return;
  for (const Example& example : in_.train.examples) lengths_.push_back(input_tokens(in_, example));
}

// The epoch's order of examples.
const std::vector<int64_t>& DataOrder::order() {
  const std::string& strategy = in_.options.schedule.train_sampling_strategy;
  if (strategy == "random") return sampler_.order();
  if (order_.empty() && strategy == "sequential") {
    order_.resize(in_.train.examples.size());
    std::iota(order_.begin(), order_.end(), int64_t{0});
  }
  if (order_.empty())
    order_ =
        group_by_length(sampler_.order(), lengths_, examples_per_batch(in_) * in_.options.schedule.gradient_accumulation_steps);
  return order_;
}

// Of the next micro-batch in that order.
std::pair<int64_t, int64_t> DataOrder::bounds(const TrainState& state) const {
  const int64_t count = static_cast<int64_t>(in_.train.examples.size()), size = examples_per_batch(in_);
  return {state.batch * size, std::min((state.batch + 1) * size, count)};
}

int64_t DataOrder::longest_target(const TrainState& state) {
  const auto [begin, end] = bounds(state);
  size_t longest = longest_label_;
  for (int64_t i = begin; i < end; ++i) {
    const Example& example = in_.train.examples[order()[i]];
    longest = std::max(longest, example.target.size());
    for (const ScoredTarget& target : example.targets) longest = std::max(longest, target.ids.size());
  }
  return static_cast<int64_t>(longest);
}

std::span<const Example> DataOrder::next(TrainState& state) {
  const auto [begin, end] = bounds(state);
  std::vector<int64_t> tokens;
  for (int64_t i = begin; i < end; ++i) {
    tokens.push_back(input_tokens(in_, in_.train.examples[order()[i]]));
    state.total_flos += 6.0 * static_cast<double>(tokens.back() * counted_parameters_);
  }
  micro_batch_.clear();
  for (const size_t place : share_evenly(tokens, in_.call.group))
    micro_batch_.push_back(in_.train.examples[order()[begin + static_cast<int64_t>(place)]]);
  if (++state.batch == batches_per_epoch_) {
    sampler_.next_epoch();
    order_.clear();
    state.batch = 0;
    ++state.epoch;
    state.epoch_ended = true;
  }
  return micro_batch_;
}

double DataOrder::epochs(const TrainState& state) const {
  return static_cast<double>(state.epoch) + static_cast<double>(state.batch) / static_cast<double>(batches_per_epoch_);
}

void DataOrder::restore(const TrainState& state) {
  sampler_.restore(state.generator, state.epoch);
}

}  // namespace dept
