#include "cli/command.h"
#include "cli/frame.h"
#include "cli/lines.h"
#include "cli/ranks.h"
#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/text.h"
#include "dept/train/advice.h"
#include "dept/train/alike.h"
#include "dept/train/evaluate.h"
#include "dept/train/identity.h"
#include "dept/train/setup.h"
#include "dept/train/task_data.h"

namespace dept {
namespace {

constexpr Usage eval_usage{
    "Usage: dept eval [RECIPE.yaml] [--peft_model_id DIR] --test_file FILE | --task_name TASK [--flags]\n"
    "Metrics of an adapter, or of the untrained model, on labelled data, as one JSON object. What a recipe says of training is\n"
    "passed over.\n",
    true, 0,
    "  dept eval configs/quickstart.yaml                                        # the untrained model\n"
    "  dept eval configs/quickstart.yaml --peft_model_id runs/quickstart\n"
    "  dept eval --peft_model_id runs/mine --test_file test.csv --output metrics.json\n"
    "  dept eval --peft_model_id runs/sst2 --task_name sst2 --split validation\n"};

struct EvalOptions {
  TrainOptions all;
  RankOptions ranks;
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

// The rows of training data that dept train divides cannot be told apart here.
void check_division(const DataOptions& data, SplitName split) {
  if (data.validation_split && split != SplitName::test)
    fail(Code::usage, "--validation_split", "dept train, which divides its training data", "dept eval, which judges all rows");
}

// Of a user's own files only the one to judge on; a named task knows which it reads.
void keep_one_file(DataOptions& data, SplitName split) {
  if (data.named()) return;
  FileTaskOptions& files = data.task;
  if (split == SplitName::train) {
    files.test_file = files.train_file;
    data.max_predict_samples = data.max_train_samples;
  } else if (split == SplitName::validation) {
    files.test_file = files.validation_file;
    data.max_predict_samples = data.max_eval_samples;
  }
  if (files.test_file.empty())
    fail(Code::usage, str("--", to_string(split), "_file"), "labelled data, or --task_name", "nothing");
  files.train_file.clear();
  files.validation_file.clear();
}

const std::vector<TextExample>& rows_of(const TaskData& task, SplitName split) {
  return split == SplitName::train ? task.train : split == SplitName::validation ? task.validation : task.test;
}

void describe(EvalOptions& o, OptionSet& set) {
  describe(o.all, set);
  set.leave_out({"Adapter", "Optimiser", "Schedule", "Evaluation while training", "Output"}, {"seed"},
                "dept eval trains nothing");
  describe(o.ranks, set);
  set.section("What to judge on");
  set.add("split", o.split, "which rows (default: the test data, or validation data where only those are given)")
      .choices({"train", "validation", "test"});
  set.add("truncate", o.all.data.truncate, "cut sources that are too long for the model's positions");
  set.add("output", o.output, "write the metrics to this file too, and evaluation.json beside it");
}

// What was given and changes nothing: an answer's length where a head answers, the rows of splits that are not evaluated.
void warn_of_idle_options(const EvalOptions& o, const OptionSet& set, SplitName split, bool head) {
  warn_of_idle_sources(o.all.model, o.all.data, set);
  warn_of_idle_generation(o.all.evaluation, set, head);
  const auto idle = [&](SplitName other, std::initializer_list<const char*> names) {
    if (split == other) return;
    for (const char* name : names)
      if (const Option* option = set.find(name); option->by_flag)
        set.warn_idle(name, str("the ", to_string(split), " data are judged"));
  };
  idle(SplitName::train, {"max_train_samples", "k_shot_examples"});
  idle(SplitName::validation, {"max_eval_samples"});
  idle(SplitName::test, {"max_predict_samples"});
}

// evaluation.json beside the metrics, where these go into a file.
std::string detail_path(const std::string& output) {
  std::error_code error;
  const bool stream = output.empty() || output == "-" || (fs::exists(output, error) && !fs::is_regular_file(output, error));
  return stream ? "" : (fs::path(output).parent_path() / "evaluation.json").string();
}

void check_outputs(const std::string& output) {
  check_output_file(output);
  const std::string detail = detail_path(output);
  if (detail.empty()) return;
  if (fs::path(output).filename() == "evaluation.json")
    fail(Code::usage, "--output", "another name than that of the file beside it, evaluation.json", quote(output));
  check_output_file(detail);
}

void write_detail(const OrderedJson& detail, const std::string& path) {
  for (const std::string& line : class_table(detail)) log::info(line);
  if (!path.empty()) write_atomic(path, detail.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n");
}

OrderedJson metrics_json(const Evaluation& evaluation) {
  OrderedJson json = {{"loss", evaluation.loss}};
  for (const auto& [name, value] : evaluation.metrics) json[name] = value;
  json["examples"] = evaluation.targets.size();
  return json;
}

// All that follows the checks of the command line.
int run_eval(EvalOptions& o, const OptionSet& set, SplitName split, RankGroup* group) {
  TrainOptions& options = o.all;
  const AdapterConfig config = adopt_adapter(options.model, options.data, options.evaluation, set);
  const SplitName loaded = options.data.named() ? split : SplitName::test;
  options.data.cache_dir = options.model.hub.cache_dir;
  check_all({[&] { check_task(options.data, options.schedule.seed, {loaded}); },
             [&] {
               check_source(options.model);
               if (!is_on_hub(options.model)) check_model(options.model);
             }});
  one_first(group, [&] { place_model(options.model); });
  adopt_label_names(config, options.model, options.data);
  const TaskData task = load_task(options.data, options.schedule.seed, {loaded}, config.classifies());
  options.data.task.labels = task.labels;
  options.data.task.label_words = task.label_words;
  options.data.task.chat = options.data.task.chat || task.chat;
  if (group != nullptr) {
    RunIdentity identity{deciding_options(set), file_contents(options)};
    identity.contents.update(row_contents(options.data, task));
    require_alike(group, identity);
  }
  const ModelContext context = make_context(options.model);
  configure_process(context.threads);

  ModelParts parts = read_parts(options.model, options.data);
  EncodeRules& text_rules = parts.rules;
  text_rules.max_target = longest_target(task, options.evaluation, *parts.tokenizer, text_rules);
  const std::vector<TextExample>& rows = rows_of(task, loaded);
  Cuts cuts;
  const std::vector<Example> examples = encode_examples(*parts.tokenizer, text_rules, rows, context.threads, &cuts);
  if (text_rules.visual) text_rules.visual->check(examples);
  log::info("judged is " + what_is_evaluated(options.model));
  if (!parts.config.visual) set.warn_idle("visual", "what is evaluated sees texts alone");
  warn_of_idle_options(o, set, split, parts.has_head());
  const SplitReport report =
      report_split("data", task, rows, examples, cuts, text_rules, options.evaluation.generation_max_length);
  log::info(report.counts);
  if (!report.cut.empty()) log::info(report.cut);
  for (const std::string& warning : report.warnings) log::warn(warning);
  const AdaptedModel model = load_adapted_model(std::move(parts), options.model, context);
  PredictRules rules = predict_rules(options.evaluation, task, model, context.threads);
  rules.group = group;
  if (rules.by == PredictBy::generate) warn_of_unused_generation(options.model.path());
  const Evaluation evaluation = evaluate(model, rules, task, rows, examples, "evaluate");
  if (!is_first(group)) return 0;
  write_detail(evaluation_detail(to_string(split), evaluated_answers(evaluation, rules, task, rows)), detail_path(o.output));
  const std::string line = metrics_json(evaluation).dump() + "\n";
  if (!o.output.empty() && o.output != "-") write_atomic(o.output, line);
  write_stdout(line);
  return 0;
}

}  // namespace

int run_eval(const std::vector<std::string>& arguments) {
  EvalOptions o;
  TrainOptions& options = o.all;
  OptionSet set;
  describe(o, set);
  Problems problems;
  if (!read_command_line(set, arguments, eval_usage, problems)) return 0;
  const SplitName split = chosen_split(o);
  problems.attempt([&] { check_task_options(options.data, set); });
  problems.attempt([&] { check_division(options.data, split); });
  problems.attempt([&] { keep_one_file(options.data, split); });
  for (const std::string& file : options.data.task.test_file)
    problems.attempt([&] { require_readable_file(file, str(to_string(split), "_file")); });
  problems.attempt([&] { check_outputs(o.output); });
  problems.raise();
  return run_in_ranks(o.ranks, options.model, "eval", arguments,
                      [&](RankGroup* group) { return run_eval(o, set, split, group); });
}

}  // namespace dept
