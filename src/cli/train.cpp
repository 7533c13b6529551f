#include "cli/command.h"
#include "cli/frame.h"
#include "cli/ranks.h"
#include "dept/base/progress.h"
#include "dept/report/report.h"
#include "dept/train/run.h"
#include "dept/train/setup.h"
#include "dept/train/task_data.h"

namespace dept {
namespace {

constexpr Usage train_usage{
    "Usage: dept train [RECIPE.yaml|RECIPE.json] [--flags]\n"
    "Trains a decomposed prompt, evaluates it and writes predictions. A recipe holds the same names; flags win over it.\n",
    true, 0,
    "  dept train configs/quickstart.yaml --output_dir runs/mine --seed 2\n"
    "  dept train --model_name_or_path t5-base --train_file train.csv --validation_file dev.csv --output_dir runs/mine \\\n"
    "    --do_train --do_eval --learning_rate 0.3 --lora_embedding_lr 1e-4 --max_steps 1000\n"
    "  dept train --model_name_or_path t5-base --task_name sst2 --output_dir runs/sst2 --do_train --do_predict\n"
    "  dept train configs/quickstart.yaml --dump_config     # what a recipe comes to\n"};

// Beside mistakes of the command line also those of the files that it names, in one message.
void check_files(const TrainOptions& o, Problems& problems) {
  problems.attempt([&] { check_task(o.data, o.schedule.seed, {}); });
  problems.attempt([&] {
    if (o.model.path().empty() || is_on_hub(o.model.peft_model_id)) return;
    check_source(o.model);
    if (!is_on_hub(o.model)) check_model(o.model);
  });
}

int train(TrainOptions& options, const OptionSet& set, RankGroup* group) {
  configure_process(make_context(options.model).threads);
  if (options.output.disable_tqdm) Progress::set_sink({});
  // Until the first step a signal just ends it: a download goes on where it stopped.
  const auto stop = [] {
    finish_on_interrupt();
    return interrupted();
  };
  if (run_training(options, set, stop, group) == RunEnd::interrupted) return interrupted_exit_code(group);
  if (is_first(group)) write_stdout(read_file(fs::path(options.output.output_dir) / "all_results.json"));
  return 0;
}

}  // namespace

int run_train(const std::vector<std::string>& arguments) {
  TrainOptions options;
  RankOptions ranks;
  OptionSet set;
  describe(options, set);
  describe(ranks, set);
  set.lead({"sweep"}, "dept sweep takes such a recipe");
  Problems problems;
  if (!read_command_line(set, arguments, train_usage, problems)) return 0;
  options.output.command = "dept train " + shell_line(arguments);
  problems.attempt([&] { settle(options, set); });
  if (!problems.empty()) check_files(options, problems);
  problems.raise();
  return run_in_ranks(ranks, options.model, "train", arguments, [&](RankGroup* group) { return train(options, set, group); });
}

}  // namespace dept
