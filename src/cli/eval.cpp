#include "cli/command.h"
#include "cli/frame.h"
#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/text.h"
#include "dept/train/evaluate.h"
#include "dept/train/setup.h"
#include "dept/train/task_data.h"

namespace dept {
namespace {

struct EvalOptions {
  TrainOptions all;
  std::optional<std::string> split;
  std::string output;
};

SplitName split_named(const std::string& name) {
  return name == "train" ? SplitName::train : name == "validation" ? SplitName::validation : SplitName::test;
}

// What to judge on: --split, else the test data, else validation data that are there.
SplitName chosen_split(const EvalOptions& o) {
  const FileTaskOptions& files = o.all.data.task;
  return o.split                                                     ? split_named(*o.split)
         : !files.validation_file.empty() && files.test_file.empty() ? SplitName::validation
                                                                     : SplitName::test;
}

// Of a user's own files only the one to judge on; a named task knows which it reads.
void keep_one_file(DataOptions& data, SplitName split) {
  if (data.named()) return;
  FileTaskOptions& files = data.task;
  if (split == SplitName::train) files.test_file = files.train_file;
  if (split == SplitName::validation) files.test_file = files.validation_file;
  if (files.test_file.empty())
    fail(Code::usage, str("--", to_string(split), "_file"), "labelled data, or --task_name", "nothing");
  files.train_file.clear();
  files.validation_file.clear();
}

const std::vector<TextExample>& rows_of(const TaskData& task, SplitName split) {
  return split == SplitName::train ? task.train : split == SplitName::validation ? task.validation : task.test;
}

OrderedJson metrics_json(const Evaluation& evaluation) {
  OrderedJson json = {{"loss", evaluation.loss}};
  for (const auto& [name, value] : evaluation.metrics) json[name] = value;
  json["examples"] = evaluation.targets.size();
  return json;
}

}  // namespace

int run_eval(const std::vector<std::string>& arguments) {
  EvalOptions o;
  TrainOptions& options = o.all;
  OptionSet set;
  describe(options, set);
  set.add("split", &o.split, "what to judge on (default: the test data, or validation data where only those are given)")
      .choices({"train", "validation", "test"});
  set.add("output", o.output, "write the metrics to this file too");
  if (!read_command_line(set, arguments,
                         {"Usage: dept eval [RECIPE.yaml] [--peft_model_id DIR] --test_file FILE | --task_name TASK [--flags]\n"
                          "Metrics of an adapter, or of the untrained model, on labelled data, as one JSON object.\n",
                          true}))
    return 0;
  if (options.data.validation_split)
    fail(Code::usage, "--validation_split", "dept train, which divides its training data", "dept eval, which judges all rows");
  const SplitName split = chosen_split(o);
  keep_one_file(options.data, split);
  bool head = false;
  if (!options.model.peft_model_id.empty()) {
    place_adapter(options.model);
    const AdapterConfig config = read_adapter_config(options.model.peft_model_id);
    adopt_model(config, options.model, options.data);
    adopt_task(config, options.data, set);
    head = config.classifies();
  }
  const SplitName loaded = options.data.named() ? split : SplitName::test;
  options.data.cache_dir = options.model.hub.cache_dir;
  check_all({[&] { check_task(options.data, options.schedule.seed, {loaded}); },
             [&] {
               if (check_source(options.model)) check_model(options.model);
             }});
  place_model(options.model);
  const TaskData task = load_task(options.data, options.schedule.seed, {loaded}, head);
  options.data.task.labels = task.labels;
  options.data.task.label_words = task.label_words;
  const Context ctx = make_context(options.model, options.schedule.seed);
  configure_process(ctx.threads);

  Pipeline pipeline = prepare_pipeline(options.model, options.data);
  pipeline.rules.max_target = longest_target(task, options.evaluation, *pipeline.tokenizer, pipeline.rules);
  const std::vector<TextExample>& rows = rows_of(task, loaded);
  Cuts cuts;
  const std::vector<Example> examples = encode_examples(*pipeline.tokenizer, pipeline.rules, rows, ctx.threads, &cuts);
  const SplitReport report =
      report_split("data", task, rows, examples, cuts, pipeline.rules, options.evaluation.generation_max_length);
  log::info(report.counts);
  for (const std::string& warning : report.warnings) log::warn(warning);
  pipeline.backbone = load_backbone(options.model.path(), ctx);
  const PredictRules rules = predict_rules(options.evaluation, task, pipeline, ctx.threads);
  const std::string line = metrics_json(evaluate(ctx, pipeline, rules, task, rows, examples, "evaluate")).dump() + "\n";
  if (!o.output.empty()) write_atomic(o.output, line);
  write_stdout(line);
  return 0;
}

}  // namespace dept
