#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>

#include <barrier>
#include <cmath>
#include <thread>

#include "unit/base/scratch.h"
#include "unit/train/tiny_run.h"

namespace dept {
namespace {

// Two ranks as two threads.
class Threads {
 public:
  class Rank : public Collective {
   public:
    Rank(Threads& threads, int64_t rank) : threads_(threads), rank_(rank) {}
    int64_t rank() const override { return rank_; }
    int64_t size() const override { return 2; }
    void all_reduce_sum(at::Tensor& tensor) override {
      threads_.slot_[rank_] = tensor.clone();
      threads_.barrier_.arrive_and_wait();
      tensor.copy_(threads_.slot_[0] + threads_.slot_[1]);
      threads_.barrier_.arrive_and_wait();
    }
    void broadcast(at::Tensor&, int64_t) override {}
    void barrier() override { threads_.barrier_.arrive_and_wait(); }

   private:
    Threads& threads_;
    int64_t rank_;
  };

 private:
  std::barrier<> barrier_{2};
  at::Tensor slot_[2];
};

TEST(Loop, AnInterruptedRunGoesOnToTheSameBits) {
  const Scratch scratch;
  TinyRun whole(scratch / "whole"), broken(scratch / "broken");
  const TrainState unbroken = run_whole(whole);

  int asked = 0;
  broken.interrupted = [&] { return ++asked == 3; };  // between two checkpoints
  EXPECT_EQ(TrainingLoop(broken.inputs()).run(), LoopEnd::interrupted);
  TinyRun again(scratch / "broken");
  const TrainState resumed = run_whole(again);
  EXPECT_EQ(resumed.step, 8);
  EXPECT_EQ(timeless(resumed.log), timeless(unbroken.log));
  EXPECT_TRUE(at::equal(dept_weights(again.model.weights()).P, dept_weights(whole.model.weights()).P));
  EXPECT_TRUE(at::equal(dept_weights(again.model.weights()).A, dept_weights(whole.model.weights()).A));
  EXPECT_TRUE(at::equal(dept_weights(again.model.weights()).B, dept_weights(whole.model.weights()).B));
}

TEST(Loop, AHeadGoesOnToTheSameBitsToo) {
  const Scratch scratch;
  TinyRun whole(scratch / "whole", 11, true), broken(scratch / "broken", 11, true), again(scratch / "broken", 11, true);
  for (TinyRun* run : {&whole, &broken, &again}) run->options.optimizer.head_learning_rate = 0.01;
  const at::Tensor start = whole.model.weights().head.out.clone();
  TrainingLoop unbroken(whole.inputs());
  ASSERT_EQ(unbroken.run(), LoopEnd::done);
  EXPECT_EQ(unbroken.parameters(), 3 * 32 + 12 * 2 + 2 * 32 + 3 * 32);
  EXPECT_FALSE(at::equal(whole.model.weights().head.out, start));

  int asked = 0;
  broken.interrupted = [&] { return ++asked == 3; };
  EXPECT_EQ(TrainingLoop(broken.inputs()).run(), LoopEnd::interrupted);
  const TrainState resumed = run_whole(again);
  EXPECT_EQ(timeless(resumed.log), timeless(unbroken.state().log));
  const std::vector<Parameter> got = again.model.weights().parameters(), expected = whole.model.weights().parameters();
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_TRUE(at::equal(got.at(i).value, expected[i].value)) << expected[i].name;
}

TEST(Loop, LogsTransformersKeys) {
  const Scratch scratch;
  TinyRun run(scratch / "run");
  run.options.optimizer.learning_rate = 0.08;
  const TrainState loop = run_whole(run);
  const OrderedJson& log = loop.log;
  ASSERT_EQ(log.size(), 9u) << "4 losses, 4 evaluations, 1 summary";
  EXPECT_EQ(log[0]["step"], 2);
  EXPECT_NEAR(log[0]["learning_rate"].get<double>(), 0.08 * 6 / 8, 1e-12) << "the next step's";
  EXPECT_EQ(log[0]["epoch"], 1.33) << "4 micro-batches of 3 an epoch";
  EXPECT_EQ(log[0]["loss"].get<double>(), std::round(log[0]["loss_exact"].get<double>() * 1e4) / 1e4);
  EXPECT_TRUE(log[1].contains("eval_accuracy"));
  EXPECT_GT(log[8]["total_flos"].get<double>(), 0);
  double sum = 0;
  for (size_t i : {0, 2, 4, 6}) sum += log[i]["loss_exact"].get<double>();
  EXPECT_NEAR(log[8]["train_loss"].get<double>(), sum / 4, 1e-9);
  EXPECT_LT(log[6]["loss"].get<double>(), log[0]["loss"].get<double>());
}

TEST(Loop, EndsWithTheBestCheckpoint) {
  const Scratch scratch;
  TinyRun run(scratch / "run");
  run.options.evaluation.load_best_model_at_end = true;
  run.options.evaluation.metric_for_best_model = "eval_loss";
  run.options.evaluation.greater_is_better = true;  // the loss falls, so that the first evaluation is the best one
  run.options.output.save_total_limit = 1;
  const TrainState loop = run_whole(run);
  double best = 0;
  int64_t best_step = 0;
  for (const auto& entry : loop.log)
    if (entry.contains("eval_loss") && entry["eval_loss"].get<double>() > best) {
      best = entry["eval_loss"];
      best_step = entry["step"];
    }
  ASSERT_LT(best_step, loop.step) << "the last weights are not the best";
  EXPECT_EQ(loop.best_checkpoint, checkpoint_name(best_step));
  EXPECT_EQ(*loop.best_metric, best);
  const Adapter saved = load_adapter(scratch / "run" / checkpoint_name(best_step), 32);
  EXPECT_TRUE(at::equal(dept_weights(run.model.weights()).P, dept_weights(saved.weights).P));
}

TEST(Loop, TwoRanksTakeOneRanksSteps) {
  const Scratch scratch;
  TinyRun one(scratch / "one");
  one.options.evaluation.eval_strategy = one.options.output.save_strategy = "no";
  TrainingLoop single(one.inputs());
  ASSERT_EQ(single.run(), LoopEnd::done);

  Threads threads;
  Threads::Rank ranks[2] = {{threads, 0}, {threads, 1}};
  TinyRun runs[2] = {TinyRun(scratch / "zero"), TinyRun(scratch / "first")};
  std::vector<std::thread> workers;
  for (int rank = 0; rank < 2; ++rank)
    workers.emplace_back([&, rank] {
      TinyRun& run = runs[rank];
      run.call.group = &ranks[rank];
      run.options.evaluation.eval_strategy = run.options.output.save_strategy = "no";
      run.options.schedule.per_device_train_batch_size = 2;
      TrainingLoop(run.inputs()).run();
    });
  for (std::thread& worker : workers) worker.join();
  EXPECT_TRUE(at::equal(dept_weights(runs[0].model.weights()).P, dept_weights(runs[1].model.weights()).P));
  const at::Tensor difference = (dept_weights(runs[0].model.weights()).P - dept_weights(one.model.weights()).P).abs().max();
  EXPECT_LT(difference.item<double>(), 2e-4) << "the last batch of an epoch leaves one rank without examples";
}

TEST(Loop, ALossThatIsNotFiniteEndsTheRun) {
  const Scratch scratch;
  TinyRun run(scratch / "run");
  dept_weights(run.model.weights()).P.fill_(NAN);
  run.options.evaluation.eval_strategy = "no";
  error_of(Code::bad_input, [&] { TrainingLoop(run.inputs()).run(); });
}

// Interrupted wherever it asks, within an evaluation too, a run ends in the same bits, with the same best and the same log.
TEST(Loop, AnInterruptAnywhereChangesNothing) {
  const auto configure = [](int kind, TinyRun& run) {
    EvaluationOptions& evaluation = run.options.evaluation;
    evaluation.metric_for_best_model = "loss";
    run.options.optimizer.learning_rate = 5;  // so that some are worse
    run.rules.batch_size = 1;
    if (kind == 1) run.options.output.save_steps = 4;  // evaluations between checkpoints
    if (kind == 2) evaluation.eval_strategy = "epoch";
    if (kind == 2) run.options.output.logging_strategy = "epoch";
    if (kind == 3) evaluation.eval_on_start = true;
  };
  for (int kind = 0; kind < 4; ++kind) {
    const Scratch scratch;
    TinyRun whole(scratch / "whole");
    configure(kind, whole);
    int asks = 0;
    whole.interrupted = [&] { return ++asks < 0; };
    const TrainState unbroken = run_whole(whole);
    ASSERT_GT(asks, 8);
    for (int moment = 1; moment <= asks; ++moment) {
      const fs::path folder = scratch / str(moment);
      TinyRun broken(folder), again(folder);
      configure(kind, broken);
      configure(kind, again);
      int asked = 0;
      broken.interrupted = [&] { return ++asked == moment; };
      EXPECT_EQ(TrainingLoop(broken.inputs()).run(), LoopEnd::interrupted);
      const TrainState resumed = run_whole(again);
      EXPECT_EQ(timeless(resumed.log), timeless(unbroken.log)) << kind << " " << moment;
      EXPECT_EQ(resumed.best_checkpoint, unbroken.best_checkpoint) << kind << " " << moment;
      EXPECT_EQ(resumed.best_metric, unbroken.best_metric);
      EXPECT_TRUE(at::equal(dept_weights(again.model.weights()).P, dept_weights(whole.model.weights()).P))
          << kind << " " << moment;
      fs::remove_all(folder);
    }
  }
}

// Killed right behind a checkpoint, before what is due at the epoch's end.
TEST(Loop, ACheckpointKnowsWhatItsStepStillOwes) {
  const Scratch scratch;
  const auto configure = [](TinyRun& run) {
    run.options.evaluation.eval_strategy = "epoch";
    run.options.output.save_steps = 1;
  };
  TinyRun whole(scratch / "whole");
  configure(whole);
  const TrainState unbroken = run_whole(whole);
  for (int step = 1; step < 8; ++step) {
    TinyRun again(scratch / str(step));
    configure(again);
    again.options.output.resume_from_checkpoint = (scratch / "whole" / checkpoint_name(step)).string();
    EXPECT_EQ(timeless(run_whole(again).log), timeless(unbroken.log)) << step;
  }
}

}  // namespace
}  // namespace dept
