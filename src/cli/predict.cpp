#include <algorithm>
#include <functional>

#include "cli/command.h"
#include "cli/frame.h"
#include "cli/lines.h"
#include "cli/predict_input.h"
#include "cli/ranks.h"
#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/text.h"
#include "dept/data/table_writer.h"
#include "dept/train/advice.h"
#include "dept/train/alike.h"
#include "dept/train/evaluate.h"
#include "dept/train/identity.h"
#include "dept/train/setup.h"
#include "dept/train/task_data.h"

namespace dept {
namespace {

constexpr Usage predict_usage{
    "Usage: dept predict --peft_model_id DIR [--input FILE|-] [--output FILE|-] [--flags]\n"
    "Texts in, predictions out, in the input's order. In: lines of JSON (\"text\", {\"text\": ..}, {\"source\": ..}, "
    "{\"messages\": [..]} or the "
    "columns of\n"
    "--source_template), a JSON array of them, plain lines of text, csv, tsv or parquet. Out: lines of JSON, or a csv, tsv or\n"
    "parquet file of the input's columns and the predictions. With --task_name rows in the task's columns, without --input its\n"
    "test data. An adapter that sees images finds each row's in the column that it was trained with.\n",
    false, 0,
    "  echo 'A quiet, generous film.' | dept predict --peft_model_id runs/quickstart\n"
    "  dept predict --peft_model_id runs/quickstart --predict_by score --scores --input reviews.csv --output answers.csv\n"
    "  dept predict --peft_model_id runs/quickstart --input reviews.txt > answers.jsonl\n"
    "  dept predict --peft_model_id runs/sst2 --task_name sst2 --output answers.parquet\n"
    "  echo '{\"text\": \"what shape is it?\", \"image\": \"a.png\"}' | dept predict --peft_model_id runs/quickstart-vqa\n"};

struct PredictOptions {
  ModelOptions model;
  DataOptions data;
  EvaluationOptions evaluation;
  std::string input, input_format = "auto", output;
  bool scores = false;
  RankOptions ranks;
  SharedReading shared;  // of the input

  PredictSource source() const { return {data, input, input_format, shared}; }
  bool writes_table() const { return is_table_name(output); }
};

void describe(PredictOptions& o, OptionSet& set) {
  describe(o.model, set);
  describe(o.model.images, set);
  describe(o.data, set);
  describe(o.evaluation, set);
  set.leave_out({"Evaluation while training", "predict_with_generate", "prediction_loss_only", "k_shot_examples", "train_file",
                 "validation_file", "validation_split", "label_column", "metrics", "max_train_samples", "max_eval_samples"},
                {}, "dept predict trains and judges nothing");
  describe(o.ranks, set);
  set.section("Input and output");
  set.add("input", o.input, "file of texts: .csv, .tsv, .parquet, .json, .jsonl or .txt (default: stdin, JSON or plain text)");
  set.add("input_format", o.input_format,
          "what is no table: JSON, a value a line or an array; text, a line each; auto: by the file's name, else by the first "
          "line")
      .choices({"auto", "json", "text"});
  set.add("output", o.output,
          "file of JSON lines (default: stdout); .csv, .tsv, .parquet: the input's columns and the predictions");
  set.add("truncate", o.data.truncate, "cut sources that are too long for the model's positions");
  set.add("scores", o.scores, "add each label's share of the likelihood (in a table: columns score_LABEL)");
}

// Labels and words, of the options or the named task.
TaskData answers_of(const PredictOptions& o) {
  TaskData task;
  task.labels = o.data.task.labels;
  task.label_words = o.data.task.label_words.empty() ? task.labels : o.data.task.label_words;
  if (!o.data.named()) return task;
  task.cleans_up = true;
  if (task.labels.empty())
    task.labels = task.label_words = find_task(o.data.task_name.value_or(""), o.data.task_file, quirks_of(o.data)).labels;
  return task;
}

OrderedJson prediction_json(const Prediction& prediction, const std::vector<std::string>& labels, bool scores) {
  OrderedJson line = {{"prediction", prediction.text}};
  if (!scores) return line;
  line["scores"] = OrderedJson::object();
  for (size_t i = 0; i < prediction.scores.size(); ++i) line["scores"][labels[i]] = prediction.scores[i];
  return line;
}

std::vector<std::string> added_names(const TaskData& task, bool scores) {
  std::vector<std::string> names = {"prediction"};
  if (scores)
    for (const std::string& label : task.labels) names.push_back("score_" + label);
  return names;
}

std::vector<AddedColumn> added_columns(const std::vector<Prediction>& predictions, const TaskData& task, bool scores) {
  const std::vector<std::string> names = added_names(task, scores);
  std::vector<AddedColumn> columns = {{names[0], std::vector<std::string>()}};
  for (const Prediction& each : predictions) std::get<std::vector<std::string>>(columns[0].values).push_back(each.text);
  for (size_t i = 1; i < names.size(); ++i) {
    std::vector<double> shares;
    for (const Prediction& each : predictions) shares.push_back(each.scores.at(i - 1));
    columns.push_back({names[i], std::move(shares)});
  }
  return columns;
}

// The flags that were given and are not used, by the answers' kind and the input's.
void warn_of_idle_options(const PredictOptions& o, const OptionSet& set, bool head) {
  warn_of_idle_sources(o.model, o.data, set);
  warn_of_idle_generation(o.evaluation, set, head);
  const bool test_data = o.data.named() && o.input.empty();
  if (!test_data) set.warn_idle("max_predict_samples", "all of --input is answered");
  if (!test_data) set.warn_idle("test_file", "--input is read");
}

// Answers the input as it comes, or all of it into one table. Of several ranks the first writes.
void answer(const PredictOptions& o, const TaskData& task,
            const std::function<std::vector<Prediction>(std::span<const TextExample>)>& predicted, size_t batch_size,
            bool writes) {
  if (o.writes_table()) {
    const PredictRows rows = read_all_rows(o.source());
    require_new_columns(rows.table, added_names(task, o.scores));
    const std::vector<Prediction> predictions = predicted(rows.examples);
    if (!writes) return;
    return write_table(o.output, rows.table, added_columns(predictions, task, o.scores),
                       table_format(o.data.task.delimiter, o.data.task.quoting));
  }
  LineWriter writer(o.output, writes);
  for_each_batch(o.source(), batch_size, [&](std::span<const TextExample> rows) {
    for (const Prediction& prediction : predicted(rows)) writer.write(prediction_json(prediction, task.labels, o.scores));
  });
  writer.commit();
}

void require_alike(RankGroup* group, const OptionSet& set, const PredictOptions& o) {
  if (group == nullptr) return;
  TrainOptions files;
  files.model = o.model;
  files.data = o.data;
  OrderedJson contents = file_contents(files);
  contents.update(input_contents(o.source()));
  require_alike(group, {deciding_options(set), contents});
}

// Conversations for an adapter that was trained on texts, or for none: in the model's chat form, if it has one.
void take_chat_form(const ModelOptions& options, const AdaptedModel& model, EncodeRules& text_rules, PredictRules& rules) {
  if (model.has_head()) fail(Code::bad_input, "--input", "texts, as a classification head answers", "conversations");
  text_rules.chat = load_model_chat_form(options, model.tokenizer(), text_rules.architecture);
  end_at_turn(rules.generation, model.tokenizer(), *text_rules.chat);
}

// All that follows the checks of the command line.
int predict(PredictOptions& options, const OptionSet& set, RankGroup* group) {
  options.shared = read_together(group);
  const AdapterConfig config = adopt_adapter(options.model, options.data, options.evaluation, set);
  options.data.cache_dir = options.model.hub.cache_dir;
  check_all({[&] {
               check_source(options.model);
               if (!is_on_hub(options.model)) check_model(options.model);
             },
             [&] { check_input(options.source()); }});
  one_first(group, [&] { place_model(options.model); });
  adopt_label_names(config, options.model, options.data);
  const TaskData task = answers_of(options);
  if (options.scores && task.labels.empty()) fail(Code::usage, "--scores", "an adapter with labels, or --labels", "free text");

  require_alike(group, set, options);
  const ModelContext context = make_context(options.model);
  configure_process(context.threads);
  const AdaptedModel model = load_adapted_model(read_parts(options.model, options.data), options.model, context);
  PredictRules rules = predict_rules(options.evaluation, task, model, context.threads);
  rules.group = group;
  if (rules.by == PredictBy::generate) warn_of_unused_generation(options.model.path());
  log::info("answering is " + what_is_evaluated(options.model));
  if (!model.parts().config.visual) set.warn_idle("visual", "what answers sees texts alone");
  warn_of_idle_options(options, set, model.has_head());
  AnswerWatch watch;
  EncodeRules text_rules = model.rules();
  const auto predicted = [&](std::span<const TextExample> rows) {
    const bool chats = std::any_of(rows.begin(), rows.end(), [](const TextExample& row) { return !row.messages.empty(); });
    if (chats && !text_rules.chat) take_chat_form(options.model, model, text_rules, rules);
    const std::vector<Example> examples = encode_examples(model.tokenizer(), text_rules, rows, context.threads);
    std::vector<Prediction> predictions = predict(model, rules, task, examples, options.scores);
    for (const Prediction& prediction : predictions) watch.add(prediction.text);
    return predictions;
  };
  const int64_t ranks = group == nullptr ? 1 : group->size();
  answer(options, task, predicted, static_cast<size_t>(rules.batch_size * ranks), is_first(group));
  if (const std::string remark = watch.remark(); is_first(group) && !remark.empty()) log::warn("predict: " + remark);
  return 0;
}

}  // namespace

int run_predict(const std::vector<std::string>& arguments) {
  PredictOptions options;
  OptionSet set;
  describe(options, set);
  Problems problems;
  if (!read_command_line(set, arguments, predict_usage, problems)) return 0;
  for (const auto& check : std::initializer_list<std::function<void()>>{[&] { check_input_is_there(options.source()); },
                                                                        [&] { check_output_file(options.output); }})
    problems.attempt(check);
  problems.raise();
  return run_in_ranks(options.ranks, options.model, "predict", arguments,
                      [&](RankGroup* group) { return predict(options, set, group); });
}

}  // namespace dept
