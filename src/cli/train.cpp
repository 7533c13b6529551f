#include "cli/command.h"
#include "cli/frame.h"
#include "dept/base/progress.h"
#include "dept/train/run.h"

namespace dept {

int run_train(const std::vector<std::string>& arguments) {
  TrainOptions options;
  OptionSet set;
  describe(options, set);
  if (!read_command_line(set, arguments,
                         {"Usage: dept train [RECIPE.yaml|RECIPE.json] [--flags]\n"
                          "Trains a decomposed prompt, evaluates it and writes predictions.\n",
                          true}))
    return 0;
  settle(options, set);
  configure_process(make_context(options.model, options.schedule.seed).threads);
  if (options.output.disable_tqdm) Progress::set_sink({});
  // Until the first step a signal just ends it: a download goes on where it stopped.
  const auto stop = [] {
    finish_on_interrupt();
    return interrupted();
  };
  if (run_training(options, set, stop) == RunEnd::interrupted) return interrupted_exit_code();
  write_stdout(read_file(fs::path(options.output.output_dir) / "all_results.json"));
  return 0;
}

}  // namespace dept
