// The kernels read their lists through pointers: with the launches of one batch and the lists of another, made anew in their
// places (dept/tensor/tables.h), they compute the other one.
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "dept/tensor/tables.h"
#include "gpu/kernels/attention_problem.h"

namespace dept::kernels::test {
namespace {

// Two batches of one shape; the first has the longest sequence that the shape allows.
struct TwoBatches {
  StepBatch sample, other;

  TwoBatches(const std::vector<int64_t>& of_sample, const std::vector<int64_t>& of_other, const std::vector<int64_t>& prefix = {})
      : sample(batch(of_sample, prefix, 5)), other(batch(of_other, prefix, 6)) {}

  static StepBatch batch(const std::vector<int64_t>& lengths, const std::vector<int64_t>& prefix, uint32_t micro_step) {
    StepBatch made{dept::test::training_call(), dept::test::ragged(lengths, prefix), {}};
    made.call.micro_step = micro_step;
    for (int64_t& example : made.source.example) example += 100 * micro_step;
    made.source.part = BatchPart::source;
    return made;
  }
  Dropout dropout(const StepBatch& of) const { return {of.call, of.source, 0.3, 2, Site::feed_forward_inner}; }

  // What run(StepBatch) gives for the sample with the other batch's lists.
  template <class Run>
  auto replayed(const Run& run) const {
    Tables tables(sample);
    {
      const Tables::Use use(tables);
      run(sample);
    }
    tables.place(place);
    tables.refill(other);
    const Tables::Use use(tables);
    return run(sample);
  }
};

TEST(CudaTables, OfDropout) {
  run_in(orders.front());
  const TwoBatches two({9, 2, 5}, {4, 9, 3});
  const at::Tensor x = there(at::randn({16, 37})), y = there(at::randn({16, 37}));
  const auto sum = [&](const StepBatch& of) { return cuda::add_dropout(x, y, two.dropout(of)).cpu(); };
  EXPECT_TRUE(at::equal(two.replayed(sum), sum(two.other)));
  EXPECT_FALSE(at::equal(sum(two.sample), sum(two.other)));
  const auto relu = [&](const StepBatch& of) {
    at::Tensor units = x.clone(), d = y.clone(), kept;
    cuda::relu_dropout(units, two.dropout(of), &kept);
    cuda::relu_dropout_backward(d, two.dropout(of), kept);
    return std::vector<at::Tensor>{units.cpu(), d.cpu()};
  };
  const std::vector<at::Tensor> replayed = two.replayed(relu), wanted = relu(two.other);
  for (size_t i = 0; i < wanted.size(); ++i) EXPECT_TRUE(at::equal(replayed[i], wanted[i])) << i;
}

TEST(CudaTables, OfAttention) {
  run_in(orders.front());
  for (const auto& [two, name] : {std::pair{TwoBatches({66, 5, 3}, {4, 65, 5}), "alone"},
                                  std::pair{TwoBatches({7, 9, 2, 5}, {7, 3, 4, 9}, {-1, 0, 0, 0}), "with a prompt in front"}}) {
    const auto solved = [&](const StepBatch& of) {
      AttentionProblem problem({.name = name, .lengths = {of.source.tokens()}, .bias = true});
      const Dropout dropout(of.call, of.source, 0.2, 2, Site::self_attention_probabilities);
      problem.spans = self_attention_spans(of.source);
      problem.options.causal = of.source.prefix.back() >= 0;
      problem.options.dropout = dropout.p;
      problem.options.streams = dropout.streams;
      return problem.by_cuda();
    };
    const std::vector<at::Tensor> replayed = two.replayed(solved), wanted = solved(two.other), others = solved(two.sample);
    for (size_t i = 0; i < wanted.size(); ++i) {
      EXPECT_TRUE(replayed[i].equal(wanted[i])) << i << " " << name;
      EXPECT_FALSE(others[i].equal(wanted[i])) << i << " " << name;
    }
  }
}

}  // namespace
}  // namespace dept::kernels::test
