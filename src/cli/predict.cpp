#include <algorithm>
#include <functional>

#include "cli/command.h"
#include "cli/frame.h"
#include "cli/lines.h"
#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/train/evaluate.h"
#include "dept/train/setup.h"
#include "tasks/source_template.h"

namespace dept {
namespace {

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
  set.add("input", o.input, "csv or tsv, or JSON lines: \"text\" or {\"source\": \"text\"} (default: stdin)");
  set.add("output", o.output, "file of JSON lines (default: stdout)");
  set.add("scores", o.scores, "add each label's share of the likelihood");
}

bool is_table(const fs::path& path) {
  return path.extension() == ".csv" || path.extension() == ".tsv";
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

// Calls `body` with up to `size` rows at a time, in order.
void for_each_batch(const PredictOptions& o, size_t size, const std::function<void(std::span<const TextExample>)>& body) {
  if (is_table(o.input)) {
    const std::vector<TextExample> rows = load_file_examples(o.data.task, o.input, false, {});
    for (size_t first = 0; first < rows.size(); first += size)
      body(std::span(rows).subspan(first, std::min(size, rows.size() - first)));
    return;
  }
  LineReader reader(o.input);
  std::vector<TextExample> rows;
  int64_t index = 0;
  const auto flush = [&] {
    if (!rows.empty()) body(rows);
    rows.clear();
  };
  try {
    while (const std::optional<Json> line = reader.next_json()) {
      rows.push_back({index++, source_of(*line, o.data.task.source_template, reader.where()), ""});
      if (rows.size() == size) flush();
    }
  } catch (const Error&) {
    flush();  // what came before the bad line
    throw;
  }
  flush();
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
  if (!read_command_line(set, arguments,
                         {"Usage: dept predict --peft_model_id DIR [--input FILE|-] [--output FILE|-] [--flags]\n"
                          "Text in, predictions out: one JSON value a line.\n"}))
    return 0;
  if (!options.model.peft_model_id.empty()) {
    const AdapterConfig config = read_adapter_config(options.model.peft_model_id);
    adopt_model(config, options.model, options.data);
    adopt_task(config, options.data, set);
  }
  check_all({[&] { check_model(options.model); },
             [&] {
               if (is_table(options.input)) check_file_examples(options.data.task, options.input, false);
             }});
  TaskData task;
  task.labels = options.data.task.labels;
  task.label_words = options.data.task.label_words.empty() ? task.labels : options.data.task.label_words;
  if (options.scores && task.labels.empty()) fail(Code::usage, "--scores", "an adapter with labels, or --labels", "free text");

  const Context ctx = make_context(options.model, 0);
  configure_process(ctx.threads);
  const Pipeline pipeline = load_pipeline(ctx, options.model, options.data);
  const PredictRules rules = predict_rules(options.evaluation, task, pipeline, ctx.threads);
  LineWriter writer(options.output);
  for_each_batch(options, rules.batch_size, [&](std::span<const TextExample> rows) {
    const std::vector<Example> examples = encode_examples(*pipeline.tokenizer, pipeline.rules, rows, ctx.threads);
    for (const Prediction& prediction : predict(ctx, pipeline, rules, task, examples, options.scores))
      writer.write(prediction_json(prediction, task.labels, options.scores));
  });
  writer.commit();
  return 0;
}

}  // namespace dept
