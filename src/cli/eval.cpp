#include "cli/command.h"
#include "cli/frame.h"
#include "dept/base/error.h"
#include "dept/train/evaluate.h"
#include "dept/train/setup.h"

namespace dept {
namespace {

// The file to judge on: of a recipe the test data, else the validation data.
void keep_one_file(FileTaskOptions& files) {
  if (!files.test_file) files.test_file = files.validation_file;
  if (!files.test_file) fail(Code::usage, "--test_file", "labelled data", "nothing");
  files.train_file.reset();
  files.validation_file.reset();
}

OrderedJson metrics_json(const Evaluation& evaluation) {
  OrderedJson json = {{"loss", evaluation.loss}};
  for (const auto& [name, value] : evaluation.metrics) json[name] = value;
  json["examples"] = evaluation.targets.size();
  return json;
}

}  // namespace

int run_eval(const std::vector<std::string>& arguments) {
  TrainOptions options;
  std::string output;
  OptionSet set;
  describe(options, set);
  set.add("output", output, "write the metrics to this file too");
  if (!read_command_line(set, arguments,
                         {"Usage: dept eval [RECIPE.yaml] [--peft_model_id DIR] --test_file FILE [--flags]\n"
                          "Metrics of an adapter, or of the untrained model, on labelled data, as one JSON object.\n",
                          true}))
    return 0;
  keep_one_file(options.data.task);
  if (!options.model.peft_model_id.empty()) {
    const AdapterConfig config = read_adapter_config(options.model.peft_model_id);
    adopt_model(config, options.model, options.data);
    adopt_task(config, options.data, set);
  }
  check_all({[&] { check_file_task(options.data.task); }, [&] { check_model(options.model); }});
  const TaskData task = load_file_task(options.data.task);
  const Context ctx = make_context(options.model, options.schedule.seed);
  configure_process(ctx.threads);

  const Pipeline pipeline = load_pipeline(ctx, options.model, options.data);
  const PredictRules rules = predict_rules(options.evaluation, task, pipeline, ctx.threads);
  const std::vector<Example> examples = encode_examples(*pipeline.tokenizer, pipeline.rules, task.test, ctx.threads);
  const std::string line = metrics_json(evaluate(ctx, pipeline, rules, task, task.test, examples, "evaluate")).dump() + "\n";
  if (!output.empty()) write_atomic(output, line);
  write_stdout(line);
  return 0;
}

}  // namespace dept
