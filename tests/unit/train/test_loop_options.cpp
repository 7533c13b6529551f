// What the loop's options change: when it evaluates, what is best, when it stops, from where it goes on, in which order.
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <set>

#include "unit/base/scratch.h"
#include "unit/train/tiny_run.h"

namespace dept {
namespace {

std::vector<int64_t> evaluated_steps(const TrainingLoop& loop) {
  std::vector<int64_t> steps;
  for (const OrderedJson& entry : loop.state().log)
    if (entry.contains("eval_loss")) steps.push_back(entry["step"]);
  return steps;
}

TEST(LoopOptions, EvaluationsMayBeginLaterOrAtOnce) {
  const Scratch scratch;
  TinyRun run(scratch / "late");
  run.options.evaluation.eval_delay = 5;
  TrainingLoop late(run.inputs());
  ASSERT_EQ(late.run(), LoopEnd::done);
  EXPECT_EQ(evaluated_steps(late), (std::vector<int64_t>{6, 8}));

  TinyRun epochs(scratch / "epochs");
  epochs.options.evaluation.eval_strategy = "epoch";
  epochs.options.evaluation.eval_delay = 3;
  TrainingLoop by_epoch(epochs.inputs());
  ASSERT_EQ(by_epoch.run(), LoopEnd::done);
  EXPECT_EQ(evaluated_steps(by_epoch), (std::vector<int64_t>{5, 6, 8})) << "3 micro-batches an epoch, 2 a step";

  TinyRun early(scratch / "early");
  early.options.evaluation.eval_on_start = true;
  TrainingLoop at_once(early.inputs());
  ASSERT_EQ(at_once.run(), LoopEnd::done);
  EXPECT_EQ(evaluated_steps(at_once).front(), 0);
}

TEST(LoopOptions, TheFirstStepMayBeLogged) {
  const Scratch scratch;
  TinyRun run(scratch / "run");
  run.options.output.logging_first_step = true;
  run.options.output.logging_steps = 100;
  const TrainState loop = run_whole(run);
  EXPECT_EQ(loop.log[0]["step"], 1);
  EXPECT_TRUE(loop.log[0].contains("loss"));
}

TEST(LoopOptions, StopsWhenEvaluationsGetNoBetter) {
  const Scratch scratch;
  TinyRun run(scratch / "run");
  run.options.evaluation.load_best_model_at_end = true;
  run.options.evaluation.metric_for_best_model = "loss";
  run.options.evaluation.early_stopping_patience = 2;
  run.options.evaluation.early_stopping_threshold = 1e9;  // nothing is better by so much: the second evaluation is stale already
  const TrainState loop = run_whole(run);
  EXPECT_EQ(loop.step, 6);
  EXPECT_EQ(loop.log.back()["step"], 6);

  // Given again it stops at once, where it had stopped.
  TinyRun again(scratch / "run");
  again.options = run.options;
  const TrainState resumed = run_whole(again);
  EXPECT_EQ(resumed.step, 6);
  EXPECT_TRUE(at::equal(dept_weights(again.model.weights()).P, dept_weights(run.model.weights()).P));
}

TEST(LoopOptions, OnlyBetterOnesMayBeSaved) {
  const Scratch scratch;
  TinyRun run(scratch / "run");
  run.options.output.save_strategy = "best";
  run.options.evaluation.metric_for_best_model = "loss";
  run.options.optimizer.learning_rate = 5;  // so that some are worse
  const TrainState loop = run_whole(run);
  double best = 1e9;
  std::vector<std::string> better, saved;
  for (const OrderedJson& entry : loop.log) {
    if (!entry.contains("eval_loss") || entry["eval_loss"].get<double>() >= best) continue;
    best = entry["eval_loss"];
    better.push_back(checkpoint_name(entry["step"]));
  }
  for (const fs::path& folder : list_checkpoints(scratch / "run")) saved.push_back(folder.filename().string());
  EXPECT_EQ(saved, better);
}

TEST(LoopOptions, WhatIsBetterCanBeTurnedRound) {
  const Scratch scratch;
  TinyRun run(scratch / "run");
  run.options.evaluation.metric_for_best_model = "eval_loss";
  run.options.evaluation.greater_is_better = true;
  const TrainState loop = run_whole(run);
  double worst = 0;
  for (const OrderedJson& entry : loop.log)
    if (entry.contains("eval_loss")) worst = std::max(worst, entry["eval_loss"].get<double>());
  EXPECT_EQ(*loop.best_metric, worst);
}

TEST(LoopOptions, GoesOnFromACheckpointByName) {
  const Scratch scratch;
  TinyRun whole(scratch / "whole");
  const TrainState unbroken = run_whole(whole);

  // From one in the middle of the same folder: what lies behind it is made anew.
  TinyRun again(scratch / "whole");
  again.options.output.resume_from_checkpoint = (scratch / "whole/checkpoint-4").string();
  int64_t seen = 0;
  again.interrupted = [&] { return ++seen == 1; };
  EXPECT_EQ(TrainingLoop(again.inputs()).run(), LoopEnd::interrupted);
  std::vector<std::string> names;
  for (const fs::path& folder : list_checkpoints(scratch / "whole")) names.push_back(folder.filename().string());
  EXPECT_EQ(names, (std::vector<std::string>{"checkpoint-2", "checkpoint-4", "checkpoint-5"}));

  // From another run's, into a folder of its own.
  TinyRun other(scratch / "other");
  other.options.output.resume_from_checkpoint = (scratch / "whole/checkpoint-4").string();
  const TrainState moved = run_whole(other);
  EXPECT_TRUE(at::equal(dept_weights(other.model.weights()).P, dept_weights(whole.model.weights()).P));
  EXPECT_EQ(timeless(moved.log), timeless(unbroken.log));

  OutputOptions output;
  output.output_dir = (scratch / "empty").string();
  EXPECT_TRUE(checkpoint_to_resume(output).empty());
  output.resume_from_checkpoint = "true";
  EXPECT_THROW(checkpoint_to_resume(output), Error);
  output.resume_from_checkpoint = "nowhere";
  EXPECT_THROW(checkpoint_to_resume(output), Error);
}

TEST(LoopOptions, APauseChangesNothingButTheLog) {
  const Scratch scratch;
  TinyRun whole(scratch / "whole");
  const TrainState unbroken = run_whole(whole);
  for (const int64_t at : {1, 3, 4}) {  // before the first checkpoint, between two, where an evaluation is due anyhow
    const fs::path folder = scratch / str("paused-", at);
    TinyRun first(folder), again(folder), on(folder);
    LoopInputs inputs = first.inputs();
    inputs.pause_at = at;
    TrainingLoop loop(inputs);
    ASSERT_EQ(loop.run(), LoopEnd::paused);
    EXPECT_EQ(loop.state().step, at);
    const auto evaluated_there = [&](const OrderedJson& entry) { return entry.contains("eval_loss") && entry["step"] == at; };
    EXPECT_EQ(std::count_if(loop.state().log.begin(), loop.state().log.end(), evaluated_there), 1);
    EXPECT_EQ(list_checkpoints(folder).back().filename(), checkpoint_name(at));

    LoopInputs twice = again.inputs();  // as after a kill between the pause and what was to follow
    twice.pause_at = at;
    TrainingLoop same(twice);
    ASSERT_EQ(same.run(), LoopEnd::paused);
    EXPECT_EQ(timeless(same.state().log), timeless(loop.state().log));

    TrainState resumed = run_whole(on);
    if (at % 2 != 0) std::erase_if(resumed.log.get_ref<OrderedJson::array_t&>(), evaluated_there);
    EXPECT_EQ(timeless(resumed.log), timeless(unbroken.log));
    EXPECT_EQ(resumed.best_metric, unbroken.best_metric);
    EXPECT_EQ(resumed.stale_evaluations, unbroken.stale_evaluations);
    EXPECT_TRUE(at::equal(dept_weights(on.model.weights()).P, dept_weights(whole.model.weights()).P));
    EXPECT_TRUE(at::equal(dept_weights(on.model.weights()).B, dept_weights(whole.model.weights()).B));
  }
}

TEST(LoopOptions, TheShortBatchMayBeLeftOut) {
  const Scratch scratch;
  TinyRun run(scratch / "run");
  run.options.schedule.dataloader_drop_last = true;
  run.options.schedule.max_steps = -1;
  run.options.schedule.num_train_epochs = 4;
  TrainingLoop loop(run.inputs());
  EXPECT_EQ(loop.total_steps(), 4) << "2 full micro-batches of 4 in 11 examples, 2 a step";
  ASSERT_EQ(loop.run(), LoopEnd::done);
  EXPECT_EQ(loop.state().log.back()["epoch"], 4.0);
  TinyRun small(scratch / "small", 3);
  small.options.schedule.dataloader_drop_last = true;
  EXPECT_THROW(TrainingLoop(small.inputs()), Error);
}

TEST(LoopOptions, ALengthAwareRunGoesOnToTheSameBits) {
  const Scratch scratch;
  TinyRun whole(scratch / "whole"), broken(scratch / "broken"), again(scratch / "broken"), plain(scratch / "plain");
  for (TinyRun* run : {&whole, &broken, &again}) run->options.schedule.train_sampling_strategy = "group_by_length";
  const TrainState unbroken = run_whole(whole);
  int asked = 0;
  broken.interrupted = [&] { return ++asked == 3; };
  EXPECT_EQ(TrainingLoop(broken.inputs()).run(), LoopEnd::interrupted);
  const TrainState resumed = run_whole(again);
  EXPECT_EQ(timeless(resumed.log), timeless(unbroken.log));
  const TrainState other = run_whole(plain);
  EXPECT_NE(timeless(other.log), timeless(unbroken.log));
}

TEST(LoopOptions, AFilesOwnOrder) {
  const Scratch scratch;
  TinyRun one(scratch / "one"), other(scratch / "other");
  for (TinyRun* run : {&one, &other}) run->options.schedule.train_sampling_strategy = "sequential";
  other.options.schedule.data_seed = 7;
  TrainingLoop first(one.inputs()), second(other.inputs());
  ASSERT_EQ(first.run(), LoopEnd::done);
  ASSERT_EQ(second.run(), LoopEnd::done);
  EXPECT_EQ(timeless(first.state().log), timeless(second.state().log)) << "no seed matters";
}

TEST(LoopOptions, TheOriginalSchedulesEpochsAsMinusOneSteps) {
  for (const int64_t warmup : {0, 3}) {
    const Scratch scratch;
    TinyRun run(scratch / "run");
    run.options.data.original_quirks = true;
    run.options.schedule.max_steps = -1;
    run.options.schedule.num_train_epochs = 4;
    run.options.schedule.warmup_steps = warmup;
    run.options.output.logging_steps = 1;
    TrainingLoop loop(run.inputs());
    ASSERT_EQ(loop.run(), LoopEnd::done);
    for (const OrderedJson& entry : loop.state().log)
      if (entry.contains("learning_rate")) {
        const auto step = entry["step"].get<int64_t>();
        const double expected = step < warmup ? 0.05 * static_cast<double>(step) / static_cast<double>(warmup) : 0;
        EXPECT_NEAR(entry["learning_rate"].get<double>(), expected, 1e-15) << step;
      }
  }
}

TEST(LoopOptions, RatesMayFollowTheEvaluations) {
  const Scratch scratch;
  TinyRun whole(scratch / "whole"), broken(scratch / "broken"), again(scratch / "broken");
  for (TinyRun* run : {&whole, &broken, &again}) {
    run->options.schedule.lr_scheduler_type = "reduce_lr_on_plateau";
    run->options.schedule.lr_scheduler_kwargs = R"({"patience": 0, "factor": 0.5, "threshold": 100, "threshold_mode": "abs"})";
    run->options.optimizer.lora_embedding_lr = 0.01;
    run->options.evaluation.eval_on_start = true;
  }
  const TrainState unbroken = run_whole(whole);
  std::vector<double> rates;
  for (const OrderedJson& entry : unbroken.log)
    if (entry.contains("loss")) rates.push_back(entry["learning_rate"]);
  EXPECT_EQ(rates, (std::vector<double>{0.05, 0.05, 0.025, 0.0125})) << "the first evaluation is the best one";

  int asked = 0;
  broken.interrupted = [&] { return ++asked == 5; };
  EXPECT_EQ(TrainingLoop(broken.inputs()).run(), LoopEnd::interrupted);
  const TrainState resumed = run_whole(again);
  EXPECT_EQ(timeless(resumed.log), timeless(unbroken.log));
  EXPECT_TRUE(at::equal(dept_weights(again.model.weights()).P, dept_weights(whole.model.weights()).P));
}

TEST(LoopOptions, AMetricsModeIsItsOwnUnlessSaid) {
  const Scratch scratch;
  for (const bool turned : {false, true}) {
    TinyRun run(scratch / (turned ? "turned" : "plain"));
    run.options.schedule.lr_scheduler_type = "reduce_lr_on_plateau";
    run.options.schedule.lr_scheduler_kwargs = turned ? R"({"patience": 0, "mode": "min"})" : R"({"patience": 0})";
    run.options.evaluation.metric_for_best_model = "accuracy";
    TrainingLoop loop(run.inputs());
    ASSERT_EQ(loop.run(), LoopEnd::done);
    double best = turned ? 1e9 : -1e9, rate = 0.05;
    for (const OrderedJson& entry : loop.state().log) {
      if (entry.contains("loss")) {
        EXPECT_NEAR(entry["learning_rate"].get<double>(), rate, 1e-15) << turned << entry["step"];
      }
      if (!entry.contains("eval_accuracy")) continue;
      const double accuracy = entry["eval_accuracy"];
      const bool better = turned ? accuracy < best * (1 - 1e-4) : accuracy > best * (1 + 1e-4);
      better ? best = accuracy : rate *= 0.1;
    }
  }
}

TEST(LoopOptions, EveryEntryIsTold) {
  const Scratch scratch;
  TinyRun run(scratch / "run");
  OrderedJson told = OrderedJson::array();
  run.logged = [&](const OrderedJson& entry) { told.push_back(entry); };
  const TrainState loop = run_whole(run);
  EXPECT_EQ(told, loop.log);
}

TEST(LoopOptions, TheBestOfTheRunThatItGoesOnFromIsKept) {
  const Scratch scratch;
  const auto configure = [](TinyRun& run) {
    run.options.evaluation.metric_for_best_model = "loss";
    run.options.evaluation.load_best_model_at_end = true;
    run.options.output.save_total_limit = 1;
    run.options.evaluation.greater_is_better = true;  // the loss falls, so that the first evaluation is the best one
  };
  TinyRun whole(scratch / "whole"), first(scratch / "first"), second(scratch / "second"), third(scratch / "third"),
      fourth(scratch / "fourth");
  fs::create_directories(scratch / "fourth");
  for (TinyRun* run : {&whole, &first, &second, &third, &fourth}) configure(*run);
  const TrainState unbroken = run_whole(whole);
  ASSERT_LT(unbroken.best_checkpoint, "checkpoint-6");
  int asked = 0;
  first.interrupted = [&] { return ++asked == 11; };
  EXPECT_EQ(TrainingLoop(first.inputs()).run(), LoopEnd::interrupted);
  const fs::path newest = list_checkpoints(scratch / "first").back();
  ASSERT_GE(newest.filename(), unbroken.best_checkpoint);

  second.options.output.resume_from_checkpoint = newest.string();
  const TrainState moved = run_whole(second);
  EXPECT_EQ(moved.best_checkpoint, unbroken.best_checkpoint);
  EXPECT_EQ(moved.best_metric, unbroken.best_metric);
  EXPECT_TRUE(at::equal(dept_weights(second.model.weights()).P, dept_weights(whole.model.weights()).P));
  EXPECT_TRUE(fs::exists(scratch / "second" / moved.best_checkpoint)) << "without the other folder too";

  // By another metric that best is none.
  third.options.evaluation.metric_for_best_model = "accuracy";
  third.options.output.resume_from_checkpoint = newest.string();
  EXPECT_NE(run_whole(third).best_metric, unbroken.best_metric);
  EXPECT_FALSE(fs::exists(scratch / "third" / unbroken.best_checkpoint));

  // By other validation data neither.
  for (const char* name : {"first", "fourth"})
    scratch.write(str(name, "/run.json"), str(R"({"contents": {"validation_file": {"v.csv": ")", name, "\"}}}"));
  fourth.options.output.resume_from_checkpoint = newest.string();
  EXPECT_NE(run_whole(fourth).best_checkpoint, unbroken.best_checkpoint);
}

TEST(LoopOptions, ALongerRunGoesOnAsTheLongOneWouldHave) {
  const Scratch scratch;
  TinyRun whole(scratch / "whole"), first(scratch / "run"), longer(scratch / "run");
  for (TinyRun* run : {&whole, &first, &longer}) run->options.schedule.lr_scheduler_type = "constant";
  first.options.schedule.max_steps = 4;
  const TrainState unbroken = run_whole(whole);
  EXPECT_EQ(run_whole(first).step, 4);
  const TrainState gone_on = run_whole(longer);
  EXPECT_TRUE(at::equal(dept_weights(longer.model.weights()).P, dept_weights(whole.model.weights()).P));
  EXPECT_EQ(gone_on.step, 8);
  EXPECT_EQ(gone_on.best_metric, unbroken.best_metric);
}

}  // namespace
}  // namespace dept
