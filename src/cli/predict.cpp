#include <algorithm>
#include <functional>

#include "cli/command.h"
#include "cli/frame.h"
#include "cli/lines.h"
#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/text.h"
#include "dept/train/evaluate.h"
#include "dept/train/setup.h"
#include "dept/train/task_data.h"
#include "tasks/source_template.h"

namespace dept {
namespace {

constexpr int64_t no_draw = 0;       // a seed: predictions draw no rows
constexpr size_t table_rows = 1024;  // of a table, tokenised together

struct PredictOptions {
  ModelOptions model;
  DataOptions data;
  EvaluationOptions evaluation;
  std::string input, output;
  bool scores = false;
};

void describe(PredictOptions& o, OptionSet& set) {
  describe(o.model, set);
  describe(o.data, set);
  describe(o.evaluation, set);
  set.section("Input and output");
  set.add("input", o.input, "csv, tsv or parquet, or JSON lines: \"text\" or {\"source\": \"text\"} (default: stdin)");
  set.add("output", o.output, "file of JSON lines (default: stdout)");
  set.add("scores", o.scores, "add each label's share of the likelihood");
}

// A named task reads rows of any kind of table; lines of JSON are else one text each.
bool is_table(const PredictOptions& o) {
  if (o.input.empty() || o.input == "-") return false;
  const TableKind kind = table_kind(o.input, table_format(o.data.task.delimiter, o.data.task.quoting));
  return kind == TableKind::columns || (o.data.named() && kind == TableKind::objects);
}

// A named task without --input: its own test data.
bool takes_test_split(const PredictOptions& o) {
  return o.data.named() && o.input.empty();
}

void check_rows(const PredictOptions& o) {
  if (takes_test_split(o)) return check_task(o.data, no_draw, {SplitName::test});
  if (!is_table(o)) return;
  if (o.data.named()) return check_named_rows(named_task(o.data, no_draw), o.input);
  check_file_examples(o.data.task, o.input, false);
}

// All rows at once, where they come from a table.
std::vector<TextExample> load_rows(const PredictOptions& o) {
  if (takes_test_split(o)) return load_named_split(named_task(o.data, no_draw), SplitName::test);
  return o.data.named() ? load_named_rows(named_task(o.data, no_draw), o.input)
                        : load_file_examples(o.data.task, o.input, false, {});
}

// A text alone fills {text}; a template with other columns needs a table.
std::string fill_template(const std::string& source_template, const std::string& text, const std::string& where) {
  std::string source;
  for (const TemplatePart& part : parse_source_template(source_template)) {
    if (part.column && part.text != "text")
      fail(Code::bad_input, where, str("{\"source\": \"..\"} or a csv, as the template names the column ", quote(part.text)),
           "a text alone");
    source += part.column ? text : part.text;
  }
  return source;
}

std::string source_of(const Json& line, const std::string& source_template, const std::string& where) {
  if (line.is_string()) return fill_template(source_template, line.get<std::string>(), where);
  if (line.is_object()) return require<std::string>(line, "source", where);
  fail(Code::bad_input, where, "\"text\" or {\"source\": \"text\"}", quote(line.dump()));
}

// Calls `body` with some rows at a time, in order: up to `size`, of a table more.
void for_each_batch(const PredictOptions& o, size_t size, const std::function<void(std::span<const TextExample>)>& body) {
  if (takes_test_split(o) || is_table(o)) {
    const std::vector<TextExample> rows = load_rows(o);
    const size_t taken = std::max(size, table_rows);
    for (size_t first = 0; first < rows.size(); first += taken)
      body(std::span(rows).subspan(first, std::min(taken, rows.size() - first)));
    return;
  }
  LineReader reader(o.input);
  const auto origin = std::make_shared<const TextOrigin>(TextOrigin{
      std::make_shared<const RowFile>(RowFile{o.input.empty() || o.input == "-" ? "stdin" : o.input, ": line "}), "text", ""});
  std::vector<TextExample> rows;
  int64_t index = 0;
  const auto flush = [&] {
    if (!rows.empty()) body(rows);
    rows.clear();
  };
  try {
    while (const std::optional<Json> line = reader.next_json()) {
      rows.push_back({index++, source_of(*line, o.data.task.source_template, reader.where()), "", "", origin, index});
      if (rows.size() == size) flush();
    }
  } catch (const Error&) {
    flush();  // what came before the bad line
    throw;
  }
  flush();
}

// Labels and words, of the options or the named task.
TaskData answers_of(const PredictOptions& o) {
  TaskData task;
  task.labels = o.data.task.labels;
  task.label_words = o.data.task.label_words.empty() ? task.labels : o.data.task.label_words;
  if (!o.data.named()) return task;
  task.cleans_up = true;
  if (task.labels.empty())
    task.labels = task.label_words = find_task(o.data.task_name.value_or(""), o.data.task_file, o.data.original_quirks).labels;
  return task;
}

OrderedJson prediction_json(const Prediction& prediction, const std::vector<std::string>& labels, bool scores) {
  OrderedJson line = {{"prediction", prediction.text}};
  if (!scores) return line;
  line["scores"] = OrderedJson::object();
  for (size_t i = 0; i < prediction.scores.size(); ++i) line["scores"][labels[i]] = prediction.scores[i];
  return line;
}

}  // namespace

int run_predict(const std::vector<std::string>& arguments) {
  PredictOptions options;
  OptionSet set;
  describe(options, set);
  if (!read_command_line(
          set, arguments,
          {"Usage: dept predict --peft_model_id DIR [--input FILE|-] [--output FILE|-] [--flags]\n"
           "Text in, predictions out: one JSON value a line. With --task_name rows in the task's columns, without --input its\n"
           "test data.\n"}))
    return 0;
  if (!options.model.peft_model_id.empty()) {
    place_adapter(options.model);
    const AdapterConfig config = read_adapter_config(options.model.peft_model_id);
    adopt_model(config, options.model, options.data);
    adopt_task(config, options.data, set);
  }
  options.data.cache_dir = options.model.hub.cache_dir;
  check_all({[&] {
               if (check_source(options.model)) check_model(options.model);
             },
             [&] { check_rows(options); }});
  place_model(options.model);
  const TaskData task = answers_of(options);
  if (options.scores && task.labels.empty()) fail(Code::usage, "--scores", "an adapter with labels, or --labels", "free text");

  const Context ctx = make_context(options.model, 0);
  configure_process(ctx.threads);
  const Pipeline pipeline = load_pipeline(ctx, options.model, options.data);
  const PredictRules rules = predict_rules(options.evaluation, task, pipeline, ctx.threads);
  LineWriter writer(options.output);
  AnswerWatch watch;
  for_each_batch(options, rules.batch_size, [&](std::span<const TextExample> rows) {
    const std::vector<Example> examples = encode_examples(*pipeline.tokenizer, pipeline.rules, rows, ctx.threads);
    for (const Prediction& prediction : predict(ctx, pipeline, rules, task, examples, options.scores)) {
      watch.add(prediction.text);
      writer.write(prediction_json(prediction, task.labels, options.scores));
    }
  });
  writer.commit();
  if (const std::string remark = watch.remark(); !remark.empty()) log::warn("predict: " + remark);
  return 0;
}

}  // namespace dept
