// A run's figures, command, curves and cost.
#include <algorithm>

#include "dept/base/text.h"
#include "report/html.h"
#include "report/page.h"
#include "report/paper.h"

namespace dept {
namespace {

bool is_time(std::string_view name) {
  return name.ends_with("_runtime") || name.ends_with("_per_second");
}

std::string seconds(double value) {
  return value < 120 ? str(html::fixed(value, 1), " s") : str(html::fixed(value / 60, 1), " min");
}

// The options that people ask for first, as far as they are set.
std::string in_short(const ReportedRun& run) {
  std::vector<std::string> parts;
  const auto add = [&](const char* words, const char* option) {
    const std::string value = run.option(option);
    if (!value.empty()) parts.push_back(str(words, words[0] == '\0' ? "" : " ", html::cut(value, 80)));
  };
  add("", "model_name_or_path");
  add("", "peft_type");
  add("m", "prefix_length");
  add("r", "r");
  add("learning rates", "learning_rate");
  add("and", "lora_embedding_lr");
  add("batch", "per_device_train_batch_size");
  add("seed", "seed");
  return join(parts, ", ");
}

// The lines of `name` of all runs.
std::vector<Series> series_of(const std::vector<const ReportedRun*>& runs, const ReportedRun* best, const std::string& name) {
  std::vector<Series> series;
  for (const ReportedRun* run : runs)
    if (const Curve* curve = run->curve(name)) series.push_back({run->name, *curve, run == best});
  return series;
}

std::vector<std::string> metric_names_of(const std::vector<const ReportedRun*>& runs) {
  std::vector<std::string> names;
  for (const ReportedRun* run : runs)
    for (const auto& [name, curve] : run->curves)
      if (is_metric(name) && std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  return names;
}

}  // namespace

std::string headline(const Figures& results) {
  for (const std::string split : {"test", "eval"}) {
    std::vector<std::string> metrics;
    for (const auto& [name, value] : results)
      if (is_metric(name) && name.rfind(split + "_", 0) == 0)
        metrics.push_back(str(name.substr(split.size() + 1), " ", html::fixed(value, 1)));
    if (!metrics.empty()) return str(split == "test" ? "test " : "validation ", join(metrics, ", "));
    if (const double* loss = find_figure(results, split + "_loss"))
      return str(split == "test" ? "test" : "validation", " loss ", html::number(*loss));
  }
  if (const double* loss = find_figure(results, "train_loss")) return str("training loss ", html::number(*loss));
  return "";
}

std::string results_table(const ReportedRun& run) {
  const PaperFigure* paper = paper_figure(run.option("task_name"));
  std::vector<std::string> columns = {"result", "here"};
  if (paper != nullptr) columns.push_back("the paper's");
  html::Table table("figures", columns);
  for (const auto& [name, value] : run.results) {
    if (is_time(name)) continue;
    std::vector<std::string> cells = {name, is_metric(name) ? html::fixed(value, 4) : html::number(value)};
    const bool theirs = paper != nullptr && name == "test_" + std::string(paper->metric);
    if (paper != nullptr) cells.push_back(theirs ? html::fixed(paper->value, 1) : "");
    table.row(cells, is_metric(name));
  }
  if (run.results.empty()) return html::paragraph("This run has not come to its end: there are no results yet.");
  const std::string source =
      paper == nullptr ? "" : html::paragraph(str("The paper's figure is of T5-base (", paper->setting, "), arXiv 2309.05173."));
  return table.text() + source;
}

std::string what_ran(const std::string& command, const ReportedRun* run) {
  std::string body;
  if (run != nullptr) body += html::paragraph(in_short(*run));
  if (!command.empty()) body += str("<pre>", html::escape(command), "</pre>\n");
  if (run == nullptr || run->options.empty()) return html::section("What was run", body);
  html::Table table("options", {"option", "value"});
  for (const auto& [name, value] : run->options.items())
    if (const std::string text = html::shown(value); !text.empty()) table.row({name, html::cut(text, 500)});
  return html::section("What was run", str(body, "<details><summary>All options</summary>", table.text(), "</details>\n"));
}

std::string curves(const std::vector<const ReportedRun*>& runs, const ReportedRun* best, const std::string& of) {
  std::string charts;
  const auto add = [&](const std::string& label, const std::string& y, std::vector<Series> series) {
    if (!series.empty()) charts += line_chart({label + of, "step", y, std::move(series)});
  };
  if (runs.size() == 1) {
    std::vector<Series> losses = series_of(runs, nullptr, "loss"), evaluated = series_of(runs, nullptr, "eval_loss");
    for (Series& one : losses) one.name = "training";
    for (Series& one : evaluated) one.name = "validation";
    losses.insert(losses.end(), evaluated.begin(), evaluated.end());
    add("loss over steps", "loss", std::move(losses));
  } else {
    add("training loss over steps", "loss", series_of(runs, best, "loss"));
    add("validation loss over steps", "loss", series_of(runs, best, "eval_loss"));
  }
  for (const std::string& name : metric_names_of(runs))
    add(metric_title(name) + " over steps", metric_title(name), series_of(runs, best, name));
  return charts.empty() ? "" : html::section("Curves" + of, str("<div class=\"charts\">\n", charts, "</div>\n"));
}

std::string cost(const ReportedRun& run) {
  html::Table table("figures", {"cost", "here"});
  bool any = false;
  const auto add = [&](const std::string& name, const std::string& value) {
    table.row({name, value});
    any = true;
  };
  for (const auto& [name, words] :
       {std::pair("train_runtime", "training"), {"eval_runtime", "validation"}, {"test_runtime", "test"}})
    if (const double* value = find_figure(run.results, name)) add(words, seconds(*value));
  if (const double* rate = find_figure(run.results, "train_samples_per_second"))
    add("training examples a second", html::number(*rate));
  if (const std::optional<double> bytes = run.peak_memory()) add("peak memory", str(html::fixed(*bytes / 1e9, 2), " GB"));
  if (run.findings.contains("parameters") && run.findings["parameters"].is_number_integer())
    add("trained numbers", html::grouped(run.findings["parameters"].get<int64_t>()));
  if (run.findings.contains("visual_parameters") && run.findings["visual_parameters"].is_number_integer())
    add("of the visual embedding", html::grouped(run.findings["visual_parameters"].get<int64_t>()));
  return any ? html::section("Time and memory", table.text()) : "";
}

}  // namespace dept
