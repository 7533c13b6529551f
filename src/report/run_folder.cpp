#include "report/run_folder.h"

#include <algorithm>
#include <cmath>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "report/html.h"

namespace dept {
namespace {

constexpr const char* run_marker = "run.json";
constexpr const char* sweep_marker = "sweep.json";

// An object whose keys keep the file's order; strictly read first.
OrderedJson ordered_object(const std::string& text, const std::string& where) {
  if (!parse_json(text, where).is_object()) fail(Code::bad_input, where, "a JSON object", quote(text, 20));
  return OrderedJson::parse(text);
}

OrderedJson object_in(const fs::path& path) {
  return fs::exists(path) ? ordered_object(read_file(path), path.string()) : OrderedJson::object();
}

// A member that may be missing, but is of this kind where it is there.
template <class Is>
OrderedJson member(const OrderedJson& json, const char* key, Is is, const char* expected, OrderedJson fallback,
                   const fs::path& where) {
  if (!json.contains(key)) return fallback;
  if (!is(json[key])) fail(Code::bad_input, str(where.string(), ": ", key), expected, quote(json[key].dump()));
  return json[key];
}

std::string text_member(const OrderedJson& json, const char* key, const fs::path& where) {
  return member(
             json, key, [](const OrderedJson& value) { return value.is_string(); }, "a string", "", where)
      .get<std::string>();
}

OrderedJson list_member(const OrderedJson& json, const char* key, const fs::path& where) {
  return member(
      json, key, [](const OrderedJson& value) { return value.is_array(); }, "a list", OrderedJson::array(), where);
}

OrderedJson object_member(const OrderedJson& json, const char* key, const fs::path& where) {
  return member(
      json, key, [](const OrderedJson& value) { return value.is_object(); }, "an object", OrderedJson::object(), where);
}

std::string name_of(const fs::path& folder) {
  fs::path whole = fs::weakly_canonical(folder);
  if (whole.filename().empty()) whole = whole.parent_path();  // of a slash at the end
  return whole.filename().string();
}

Figures figures_in(const OrderedJson& json) {
  Figures figures;
  for (const auto& [name, value] : json.items())
    if (value.is_number() && std::isfinite(value.get<double>())) figures.emplace_back(name, value.get<double>());
  return figures;
}

void add_point(std::vector<std::pair<std::string, Curve>>& curves, const std::string& name, double step, double value) {
  auto found = std::find_if(curves.begin(), curves.end(), [&](const auto& curve) { return curve.first == name; });
  if (found == curves.end()) found = curves.insert(curves.end(), {name, {}});
  found->second.emplace_back(step, value);
}

// Losses unrounded; of evaluations the loss and the metrics.
std::vector<std::pair<std::string, Curve>> curves_in(const fs::path& path) {
  std::vector<std::pair<std::string, Curve>> curves;
  for (const OrderedJson& entry : list_member(object_in(path), "log_history", path)) {
    if (!entry.is_object() || !entry.contains("step") || !entry["step"].is_number()) continue;
    const double step = entry["step"].get<double>();
    for (const auto& [name, value] : entry.items()) {
      if (!value.is_number()) continue;
      const bool exact = name == "loss" && entry.contains("loss_exact") && entry["loss_exact"].is_number();
      if (name == "loss") add_point(curves, name, step, (exact ? entry["loss_exact"] : value).get<double>());
      if (name == "eval_loss" || is_metric(name)) add_point(curves, name, step, value.get<double>());
    }
  }
  return curves;
}

}  // namespace

const Curve* ReportedRun::curve(const std::string& wanted) const {
  const auto found = std::find_if(curves.begin(), curves.end(), [&](const auto& one) { return one.first == wanted; });
  return found == curves.end() ? nullptr : &found->second;
}

std::string ReportedRun::option(const std::string& wanted) const {
  return options.contains(wanted) ? html::shown(options[wanted]) : "";
}

std::optional<double> ReportedRun::peak_memory() const {
  const auto found = findings.find("peak_memory_bytes");
  return found != findings.end() && found->is_number() ? std::optional(found->get<double>()) : std::nullopt;
}

std::string ReportedRun::task() const {
  if (const std::string named = option("task_name"); !named.empty()) return named;
  const std::string file = option("train_file");
  return file.empty() ? name : fs::path(file).filename().string();
}

ReportedRun read_run(const fs::path& folder) {
  const fs::path marker = folder / run_marker;
  const OrderedJson run = object_in(marker);
  ReportedRun record;
  record.name = name_of(folder);
  record.command = text_member(run, "command", marker);
  record.options = object_member(run, "options", marker);
  record.results = figures_in(object_in(folder / "all_results.json"));
  record.curves = curves_in(folder / "trainer_state.json");
  record.evaluation = object_in(folder / "evaluation.json");
  record.findings = object_in(folder / "report.json");
  return record;
}

ReportedSweep read_sweep(const fs::path& folder) {
  const fs::path marker = folder / sweep_marker, results = folder / "results.jsonl";
  ReportedSweep sweep;
  sweep.name = name_of(folder);
  sweep.state = object_in(marker);
  sweep.command = text_member(sweep.state, "command", marker);
  if (!fs::exists(results)) return sweep;
  const std::string text = read_file(results);
  int64_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string where = str(results.string(), ":", ++number);
    sweep.lines.push_back(ordered_object(text.substr(begin, end - begin), where));
    const std::string name = text_member(sweep.lines.back(), "name", where);
    if (name.empty() || name.find('/') != std::string::npos || name[0] == '.')
      fail(Code::bad_input, where + ": name", "the name of a folder in runs", quote(name));
    sweep.runs.push_back(read_run(folder / "runs" / name));
    begin = end + 1;
  }
  return sweep;
}

FolderKind kind_of(const fs::path& folder) {
  if (!fs::is_directory(folder)) fail(Code::io, folder.string(), "the folder of a run or a sweep", "no folder");
  if (fs::exists(folder / sweep_marker)) return FolderKind::sweep;
  if (fs::exists(folder / run_marker)) return FolderKind::run;
  fail(Code::bad_input, folder.string(), "a folder that dept train (run.json) or dept sweep (sweep.json) left", "neither");
}

bool is_metric(const std::string& name) {
  if (name.rfind("eval_", 0) != 0 && name.rfind("test_", 0) != 0) return false;
  for (const char* end : {"_loss", "_runtime", "_per_second", "_samples", "_std"})
    if (name.ends_with(end)) return false;
  return true;
}

std::string metric_title(const std::string& name) {
  if (name.rfind("eval_", 0) == 0) return name.substr(5) + " (validation)";
  if (name.rfind("test_", 0) == 0) return name.substr(5) + " (test)";
  return name;
}

const double* find_figure(const Figures& figures, const std::string& name) {
  const auto found = std::find_if(figures.begin(), figures.end(), [&](const auto& one) { return one.first == name; });
  return found == figures.end() ? nullptr : &found->second;
}

}  // namespace dept
