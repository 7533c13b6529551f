#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/rand.h>

#include "dept/train/checkpoint.h"
#include "dept/train/marker.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

AdapterConfig config() {
  AdapterConfig config;
  config.r = 2;
  config.max_length = 5;
  config.num_virtual_tokens = 3;
  config.token_dim = 4;
  config.base_model_name_or_path = "model";
  config.task_type = "CAUSAL_LM";
  return config;
}

AdapterWeights weights() {
  return {{at::rand({1, 3, 4}), at::rand({1, 5, 2}), at::rand({1, 2, 4})}};
}

TrainState state(int64_t step) {
  TrainState state;
  state.step = step;
  state.epoch = 2;
  state.batch = 3;
  state.micro_steps = 2 * step;
  state.epochs = 2.1;
  state.generator = std::string("\0\xff\x10 state", 9);
  state.loss_sum = 1.0 / 3;
  state.logged_loss_sum = 0.1;
  state.logged_step = 4;
  state.best_metric = 200.0 / 3;
  state.best_checkpoint = "checkpoint-2";
  state.total_flos = 1.5e18;
  state.schedule = {{"rates", {0.1, 0.2}}};
  state.log.push_back({{"z_first", 1}, {"a_second", 0.1}});
  return state;
}

void save(const fs::path& folder, int64_t step) {
  save_checkpoint(folder, state(step), 10, config(), weights(), {{"step", at::full({1}, step, at::kLong)}});
}

TEST(Checkpoint, GivesBackWhatWasSaved) {
  const Scratch scratch;
  const AdapterWeights saved = weights();
  save_checkpoint(scratch.path(), state(6), 10, config(), saved, {{"P.exp_avg", saved.P}, {"step", at::full({1}, 6, at::kLong)}});
  const Checkpoint loaded = load_checkpoint(scratch / "checkpoint-6", 4);
  const TrainState expected = state(6);
  EXPECT_EQ(loaded.state.step, 6);
  EXPECT_EQ(loaded.state.epoch, expected.epoch);
  EXPECT_EQ(loaded.state.batch, expected.batch);
  EXPECT_EQ(loaded.state.micro_steps, expected.micro_steps);
  EXPECT_EQ(loaded.state.generator, expected.generator);
  EXPECT_EQ(loaded.state.loss_sum, expected.loss_sum) << "to the last bit";
  EXPECT_EQ(loaded.state.logged_loss_sum, expected.logged_loss_sum);
  EXPECT_EQ(loaded.state.logged_step, expected.logged_step);
  EXPECT_EQ(*loaded.state.best_metric, *expected.best_metric);
  EXPECT_EQ(loaded.state.best_checkpoint, expected.best_checkpoint);
  EXPECT_EQ(read_json(scratch / "checkpoint-6/trainer_state.json")["best_model_checkpoint"], (scratch / "checkpoint-2").string());
  EXPECT_EQ(loaded.state.total_flos, expected.total_flos);
  EXPECT_EQ(loaded.state.schedule, expected.schedule);
  EXPECT_EQ(loaded.state.log.dump(), expected.log.dump()) << "keys in order";
  EXPECT_TRUE(at::equal(loaded.adapter.weights.A, saved.A));
  ASSERT_EQ(loaded.optimizer.size(), 2u);
}

TEST(Checkpoint, KeepsTheNewestAndTheBest) {
  const Scratch scratch;
  for (int64_t step : {2, 4, 6, 10}) save(scratch.path(), step);
  fs::create_directories(scratch / "checkpoint-old");
  EXPECT_EQ(list_checkpoints(scratch.path()).back().filename(), "checkpoint-10") << "by number, not by name";
  prune_checkpoints(scratch.path(), 1, "checkpoint-4");
  std::vector<std::string> left;
  for (const fs::path& path : list_checkpoints(scratch.path())) left.push_back(path.filename());
  EXPECT_EQ(left, (std::vector<std::string>{"checkpoint-4", "checkpoint-10"}));
  EXPECT_TRUE(fs::exists(scratch / "checkpoint-old")) << "not ours";
}

TEST(Checkpoint, ABrokenStateIsNamed) {
  const Scratch scratch;
  save(scratch.path(), 2);
  scratch.write("checkpoint-2/training_state.json", "{\"step\": \"two\"}");
  EXPECT_NE(error_of(Code::bad_input, [&] { load_checkpoint(scratch / "checkpoint-2", 4); }).find("training_state.json: step"),
            std::string::npos);
}

TEST(Marker, TheSameOptionsGoOnAndOthersAreNamed) {
  const Scratch scratch;
  const fs::path run = scratch / "run";
  const OrderedJson options = {{"learning_rate", 0.3}, {"r", 45}};
  EXPECT_EQ(claim_output(run, options, false), Claim::fresh);
  EXPECT_EQ(claim_output(run, options, false), Claim::goes_on);
  const OrderedJson others = {{"learning_rate", 0.4}, {"r", 45}};
  const std::string message = error_of(Code::usage, [&] { claim_output(run, others, false); });
  EXPECT_NE(message.find("learning_rate 0.4 (there 0.3)"), std::string::npos) << message;
  EXPECT_EQ(message.find("r 45"), std::string::npos) << message;
  mark_finished(run, options);
  EXPECT_EQ(claim_output(run, options, false), Claim::finished);
  EXPECT_EQ(claim_output(run, others, true), Claim::fresh);
  EXPECT_EQ(claim_output(run, others, false), Claim::goes_on);
}

TEST(Marker, AFolderOfOtherFilesIsLeftAlone) {
  const Scratch scratch;
  scratch.write("thesis.txt", "");
  error_of(Code::usage, [&] { claim_output(scratch.path(), {{"r", 1}}, false); });
  EXPECT_FALSE(fs::exists(scratch / "run.json"));
  claim_output(scratch.path(), {{"r", 1}}, true);
  EXPECT_TRUE(fs::exists(scratch / "thesis.txt"));
}

TEST(Marker, OverwritingDropsCheckpoints) {
  const Scratch scratch;
  claim_output(scratch.path(), {{"r", 1}}, false);
  save(scratch.path(), 2);
  fs::create_directories(scratch / ".checkpoint-4.tmp-77");
  claim_output(scratch.path(), {{"r", 1}}, true);
  EXPECT_TRUE(list_checkpoints(scratch.path()).empty());
  EXPECT_FALSE(fs::exists(scratch / ".checkpoint-4.tmp-77"));
}

}  // namespace
}  // namespace dept
