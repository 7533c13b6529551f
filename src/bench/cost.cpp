#include "bench/cost.h"

namespace dept {
namespace {

double weights_of(std::span<const LinearShape> linears) {
  double sum = 0;
  for (const LinearShape& linear : linears) sum += static_cast<double>(linear.in * linear.out * linear.count);
  return sum;
}

// Pairs of a query and a key that it sees: n queries behind `in_front` keys that all of them see.
double pairs(int64_t n, int64_t in_front, bool causal) {
  const auto queries = static_cast<double>(n);
  return queries * static_cast<double>(in_front) + (causal ? queries * (queries + 1) / 2 : queries * queries);
}

}  // namespace

Flop forward_flop(const ModelCost& cost, std::span<const Example> examples, int64_t m) {
  const bool two_stacks = cost.target.layers > 0;
  double source = 0, target = 0, labels = 0, source_pairs = 0, target_pairs = 0;
  if (cost.shares_prompt) {
    source += static_cast<double>(m);
    source_pairs += pairs(m, 0, cost.source.causal);
  }
  for (const Example& example : examples) {
    const auto given = static_cast<int64_t>(example.source.size()), asked = static_cast<int64_t>(example.target.size());
    const int64_t own = given + (two_stacks || cost.head.count == 0 ? 0 : asked - 1), in_front = cost.shares_prompt ? m : 0;
    const int64_t tokens = own + (cost.shares_prompt ? 0 : m);
    source += static_cast<double>(tokens);
    source_pairs += pairs(tokens, in_front, cost.source.causal);
    labels += static_cast<double>(asked);
    if (!two_stacks) continue;
    target += static_cast<double>(asked);
    target_pairs += pairs(asked, tokens, true);
  }
  const double source_weights = weights_of(cost.source.linears) + weights_of(cost.memory);
  const auto scores = [](const StackCost& stack, double count) {
    return 2 * static_cast<double>(stack.layers * stack.width) * count;
  };
  return {2 * (source_weights * source + weights_of(cost.target.linears) * target + weights_of({&cost.head, 1}) * labels),
          2 * (scores(cost.source, source_pairs) + scores(cost.target, target_pairs))};
}

}  // namespace dept
