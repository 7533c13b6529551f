#include "dept/train/run_data.h"

#include <algorithm>
#include <iterator>

#include "dept/adapter/adapter_file.h"
#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/train/class_weights.h"
#include "dept/train/identity.h"
#include "dept/train/setup.h"
#include "dept/train/task_data.h"

namespace dept {
namespace {

void check_metrics(const TrainOptions& o, const TaskData& task, bool head) {
  std::string name = o.evaluation.metric_for_best_model;
  if (name.rfind("eval_", 0) == 0) name.erase(0, 5);
  if (!name.empty() && name != "loss" && std::find(task.metrics.begin(), task.metrics.end(), name) == task.metrics.end())
    fail(Code::usage, "metric_for_best_model", str("loss, ", join(task.metrics, ", ")), quote(name));
  const bool predicts = head || o.evaluation.predict_by == "score" || o.evaluation.predict_with_generate;
  if (!name.empty() && name != "loss" && !predicts)
    fail(Code::usage, "metric_for_best_model", "loss, as --predict_with_generate false makes no predictions", quote(name));
  if (!head && o.evaluation.predict_by == "score" && (task.free_text() || task.numeric()))
    fail(Code::usage, "predict_by", "generate, as answers are no labels", "score");
}

Split make_split(std::string_view name, std::vector<TextExample>& texts, const TrainOptions& o, int threads, RunData& data) {
  if (texts.empty()) return {};
  Cuts cuts;
  std::vector<Example> examples = encode_examples(*data.tokenizer, data.rules, texts, threads, &cuts);
  if (data.rules.visual) data.rules.visual->check(examples);
  SplitReport report = report_split(name, data.task, texts, examples, cuts, data.rules, o.evaluation.generation_max_length);
  data.counts.push_back(std::move(report.counts));
  if (name == "train" && !report.cut.empty()) data.counts.push_back(std::move(report.cut));
  std::move(report.warnings.begin(), report.warnings.end(), std::back_inserter(data.warnings));
  return {std::move(texts), std::move(examples)};
}

}  // namespace

int64_t prompt_length(const TrainOptions& o) {
  const std::string& adapter = o.model.peft_model_id;
  return adapter.empty() ? o.adapter.prefix_length : read_adapter_config(adapter).num_virtual_tokens;
}

std::string task_type(const TrainOptions& o, const ModelInfo& info) {
  if (o.model.peft_model_id.empty()) return task_type_for(info, o.adapter.task_type);
  const std::string told = read_adapter_config(o.model.peft_model_id).task_type;
  const std::string own = task_type_for(info, told.empty() ? std::nullopt : std::optional(told));
  if (o.adapter.task_type && *o.adapter.task_type != own)
    fail(Code::usage, "task_type", own + ", the adapter's", *o.adapter.task_type);
  return own;
}

std::vector<SplitName> splits_of(const OutputOptions& output) {
  std::vector<SplitName> splits;
  if (output.do_train) splits.push_back(SplitName::train);
  if (output.do_eval) splits.push_back(SplitName::validation);
  if (output.do_predict) splits.push_back(SplitName::test);
  return splits;
}

EncodeRules run_rules(const TrainOptions& o, const ModelInfo& info, const Tokenizer& tokenizer, const TaskData& task) {
  EncodeRules rules = encode_rules(info, tokenizer, o.data, parse_delta_alignment(o.adapter.delta_alignment),
                                   quirks_for(o.model, o.data, o.output.do_train));
  rules.head = task_type(o, info) == "SEQ_CLS";
  if (task.chat && rules.head)
    fail(Code::usage, "task_type", "CAUSAL_LM for conversations, which a head has no class for", "SEQ_CLS");
  if (task.chat) rules.chat = load_model_chat_form(o.model, tokenizer, info.architecture);
  rules.label_words = task.label_words;
  if (sees_images(o.model.images)) rules.visual = std::make_shared<const VisualInput>(o.model.images, make_context(o.model));
  limit_to_positions(rules, info, tokenizer, prompt_length(o));
  rules.max_target = longest_target(task, o.evaluation, tokenizer, rules);
  if (!rules.head && !task.numeric()) check_label_ids(tokenizer, rules, task.labels, task.label_words);
  return rules;
}

std::shared_ptr<const RunData> read_run_data(const TrainOptions& o, const std::vector<SplitName>& splits, int threads) {
  const ModelInfo info = read_model_info(o.model.path());
  const bool head = task_type(o, info) == "SEQ_CLS";
  const auto made = std::make_shared<RunData>();
  RunData& data = *made;
  data.task = load_task(o.data, o.schedule.seed, splits, head);
  data.contents = row_contents(o.data, data.task);
  check_metrics(o, data.task, head);
  data.tokenizer = load_model_tokenizer(o.model, quirks_of(o.data));
  data.rules = run_rules(o, info, *data.tokenizer, data.task);
  data.class_weights = class_weights(o.optimizer.class_weights, data.task);
  if (std::string question = question_labels(data.task); !o.data.named() && o.data.task.labels.empty() && !question.empty())
    data.warnings.push_back(std::move(question));
  data.train = make_split("train", data.task.train, o, threads, data);
  data.validation = make_split("validation", data.task.validation, o, threads, data);
  data.test = make_split("test", data.task.test, o, threads, data);
  data.train.texts = {};  // training needs their ids alone
  return made;
}

std::string data_key(const TrainOptions& o, const OptionSet& set, const std::vector<SplitName>& splits) {
  const bool draws = o.data.k_shot_examples || o.data.validation_split;
  OrderedJson key = set.dump_json();
  for (const Option& option : set.options()) {
    const std::string &name = option.name, &section = option.section;
    const bool trains = section == "Optimiser" || section == "Schedule" || section == "Evaluation while training" ||
                        section == "Output" || name == "r" || name == "lora_alpha" || name.rfind("prompt_tuning_init", 0) == 0;
    const bool reads = name == "class_weights" || name == "metric_for_best_model" || (name == "seed" && draws);
    if (trains && !reads) key.erase(name);
  }
  for (const SplitName split : splits) key["splits"].push_back(static_cast<int>(split));
  return key.dump();
}

}  // namespace dept
