#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/rand.h>

#include "dept/train/checkpoint.h"
#include "dept/train/marker.h"
#include "support/dept_adapter.h"
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
  return dept_alone({at::rand({1, 3, 4}), at::rand({1, 5, 2}), at::rand({1, 2, 4})});
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
  save_checkpoint(scratch.path(), state(6), 10, config(), saved,
                  {{"P.exp_avg", dept_weights(saved).P}, {"step", at::full({1}, 6, at::kLong)}});
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
  EXPECT_TRUE(at::equal(dept_weights(loaded.adapter.weights).A, dept_weights(saved).A));
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

const ClaimRules plain, overwrites{true, false}, resumes{false, true};

TEST(Marker, TheSameOptionsGoOnAndOthersAreNamed) {
  const Scratch scratch;
  const fs::path run = scratch / "run";
  const RunIdentity options{{{"learning_rate", 0.3}, {"r", 45}}};
  EXPECT_EQ(claim_output(run, options, plain), Claim::fresh);
  EXPECT_EQ(claim_output(run, options, plain), Claim::goes_on);
  const RunIdentity others{{{"learning_rate", 0.4}, {"r", 45}}};
  for (const ClaimRules& rules : {plain, resumes}) {
    const std::string message = error_of(Code::usage, [&] { claim_output(run, others, rules); });
    EXPECT_NE(message.find("learning_rate 0.4 (there 0.3)"), std::string::npos) << message;
    EXPECT_EQ(message.find("r 45"), std::string::npos) << message;
  }
  mark_finished(run, options);
  EXPECT_EQ(claim_output(run, options, plain), Claim::finished);
  EXPECT_EQ(claim_output(run, others, overwrites), Claim::fresh);
  EXPECT_EQ(claim_output(run, others, plain), Claim::goes_on);
}

TEST(Marker, OtherFilesBehindTheSameNamesAreNamed) {
  const Scratch scratch;
  const OrderedJson options = {{"r", 1}}, data = {{"d.csv", "1"}}, model = {{"config.json", "2"}, {"vocab.txt", "3"}};
  const RunIdentity run{options, {{"train_file", data}, {"model_name_or_path", model}}};
  claim_output(scratch.path(), run, plain);
  EXPECT_EQ(check_claim(scratch.path(), {options, {{"train_file", data}}}, plain), Claim::goes_on) << "the model is not on disk";
  mark_finished(scratch.path(), run);
  const RunIdentity other{
      options, {{"train_file", {{"d.csv", "9"}}}, {"model_name_or_path", {{"config.json", "2"}, {"tokenizer.json", "4"}}}}};
  for (const ClaimRules& rules : {plain, resumes}) {
    const std::string message = error_of(Code::usage, [&] { check_claim(scratch.path(), other, rules); });
    for (const char* part :
         {"train_file: d.csv has changed", "tokenizer.json is new", "vocab.txt is gone", "--overwrite_output_dir"})
      EXPECT_NE(message.find(part), std::string::npos) << message;
    EXPECT_EQ(message.find("config.json"), std::string::npos) << message;
  }
  EXPECT_EQ(check_claim(scratch.path(), other, overwrites), Claim::fresh);
}

TEST(Marker, ALongerRunGoesOnWhereItIsToldTo) {
  const Scratch scratch;
  const auto run = [](int64_t steps, double epochs, int64_t r = 1) {
    return RunIdentity{{{"max_steps", steps}, {"num_train_epochs", epochs}, {"r", r}}};
  };
  claim_output(scratch.path(), run(10, 3), plain);
  mark_finished(scratch.path(), run(10, 3));
  EXPECT_NE(error_of(Code::usage, [&] { check_claim(scratch.path(), run(20, 3), plain); }).find("--overwrite_output_dir"),
            std::string::npos)
      << "without a checkpoint there is nothing to go on from";
  save(scratch.path(), 10);
  const std::string message = error_of(Code::usage, [&] { check_claim(scratch.path(), run(20, 3), plain); });
  EXPECT_NE(message.find("--resume_from_checkpoint true"), std::string::npos) << message;
  EXPECT_EQ(message.find("--overwrite_output_dir"), std::string::npos) << message;
  for (const RunIdentity& other : {run(9, 3), run(20, 2), run(20, 3, 2), run(-1, 3)})
    error_of(Code::usage, [&] { check_claim(scratch.path(), other, resumes); });
  EXPECT_EQ(claim_output(scratch.path(), run(20, 3), resumes), Claim::goes_on);
  EXPECT_EQ(check_claim(scratch.path(), run(20, 3), plain), Claim::goes_on) << "from here it is this run";
}

TEST(Marker, AFolderOfOtherFilesIsLeftAlone) {
  const Scratch scratch;
  scratch.write("thesis.txt", "");
  error_of(Code::usage, [&] { claim_output(scratch.path(), {{{"r", 1}}}, plain); });
  EXPECT_FALSE(fs::exists(scratch / "run.json"));
  claim_output(scratch.path(), {{{"r", 1}}}, overwrites);
  EXPECT_TRUE(fs::exists(scratch / "thesis.txt"));
}

TEST(Marker, OverwritingDropsCheckpoints) {
  const Scratch scratch;
  claim_output(scratch.path(), {{{"r", 1}}}, plain);
  save(scratch.path(), 2);
  fs::create_directories(scratch / ".checkpoint-4.tmp-77");
  claim_output(scratch.path(), {{{"r", 1}}}, overwrites);
  EXPECT_TRUE(list_checkpoints(scratch.path()).empty());
  EXPECT_FALSE(fs::exists(scratch / ".checkpoint-4.tmp-77"));
}

}  // namespace
}  // namespace dept
