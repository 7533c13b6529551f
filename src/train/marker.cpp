#include "dept/train/marker.h"

#include <algorithm>
#include <array>
#include <set>
#include <span>
#include <vector>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/train/checkpoint.h"

namespace dept {
namespace {

constexpr const char* marker_name = "run.json";

// What else a run leaves in its folder, besides checkpoints.
constexpr std::array run_files = {"adapter_config.json",
                                  "adapter_model.safetensors",
                                  "adapter_model.bin",
                                  "trainer_state.json",
                                  "train_results.json",
                                  "eval_results.json",
                                  "test_results.json",
                                  "all_results.json",
                                  "generated_predictions.jsonl",
                                  "README.md",
                                  "output.log",
                                  "evaluation.json",
                                  "report.json",
                                  "report.html"};

OrderedJson marker_json(const RunIdentity& run, bool finished) {
  const std::string text = run.options.dump();
  OrderedJson json = {{"options_sha256", sha256_hex(std::as_bytes(std::span(text)))}, {"finished", finished}};
  if (!run.command.empty()) json["command"] = run.command;
  json["options"] = run.options;
  json["contents"] = run.contents;
  return json;
}

void write_marker(const fs::path& output_dir, const RunIdentity& run, bool finished) {
  const std::string text = marker_json(run, finished).dump(2, ' ', false, OrderedJson::error_handler_t::replace);
  write_atomic(output_dir / marker_name, text + "\n");
}

std::string shown(const Json& options, const std::string& name) {
  return options.contains(name) ? options[name].dump() : "unset";
}

std::vector<std::string> differing(const Json& then, const Json& now) {
  Json names = then;
  names.update(now);
  std::vector<std::string> found;
  for (const auto& [name, value] : names.items())
    if (shown(then, name) != shown(now, name)) found.push_back(name);
  return found;
}

// "r 45 (there 30)"
std::vector<std::string> other_options(const Json& then, const Json& now) {
  std::vector<std::string> found = differing(then, now);
  for (std::string& name : found) name = str(name, " ", shown(now, name), " (there ", shown(then, name), ")");
  return found;
}

// "train_file: data.csv has changed"
std::vector<std::string> other_contents(const Json& then, const Json& now) {
  std::vector<std::string> found;
  for (const auto& [option, files] : now.items()) {
    if (!then.contains(option)) continue;
    const Json& before = then[option];
    for (const std::string& file : differing(before, files))
      found.push_back(str(option, ": ", file,
                          !before.contains(file)  ? " is new"
                          : !files.contains(file) ? " is gone"
                                                  : " has changed"));
  }
  return found;
}

// Whether the runs differ in their length alone, and this one is the longer.
bool only_longer(const Json& then, const Json& now) {
  const std::vector<std::string> names = differing(then, now);
  return !names.empty() && std::all_of(names.begin(), names.end(), [&](const std::string& name) {
    const bool length = name == "max_steps" || name == "num_train_epochs";
    return length && then.contains(name) && now.contains(name) && then[name].is_number() && now[name].is_number() &&
           then[name].get<double>() > 0 && now[name].get<double>() > then[name].get<double>();
  });
}

// Of the files that a folder's run read for an option, whatever they were called.
std::multiset<std::string> digests_of(const fs::path& output_dir, const std::string& option) {
  std::multiset<std::string> digests;
  if (!fs::exists(output_dir / marker_name)) return digests;
  const Json contents = read_json(output_dir / marker_name).value("contents", Json::object());
  const Json files = contents.value(option, Json::object());
  for (const auto& [file, digest] : files.items()) digests.insert(digest.dump());
  return digests;
}

bool empty_but_hidden(const fs::path& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (entry.path().filename().string()[0] != '.') return false;
  return true;
}

}  // namespace

void remove_leftovers(const fs::path& folder) {
  std::vector<fs::path> leftovers;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    const auto has = [&](std::string_view part) { return name.find(part) != std::string::npos; };
    if (name[0] == '.' && (has(".tmp-") || has(".removed") || has(".writable-"))) leftovers.push_back(entry.path());
  }
  std::error_code ignored;
  for (const fs::path& path : leftovers) fs::remove_all(path, ignored);
}

Claim check_claim(const fs::path& output_dir, const RunIdentity& run, const ClaimRules& rules) {
  if (rules.overwrite) return Claim::fresh;
  const fs::path marker = output_dir / rules.marker;
  if (!fs::exists(marker)) {
    if (!empty_but_hidden(output_dir))
      fail(Code::usage, output_dir.string(), "an empty folder, an earlier run of this command, or --overwrite_output_dir",
           "other files");
    return Claim::fresh;
  }
  const Json there = read_json(marker), options = Json::parse(run.options.dump()), contents = Json::parse(run.contents.dump());
  const Json options_there = there.value("options", Json::object());
  const std::vector<std::string> files = other_contents(there.value("contents", Json::object()), contents);
  if (!files.empty())
    fail(Code::usage, output_dir.string(), "the data and the model of the run that is there, or --overwrite_output_dir",
         join(files, ", "));
  const bool longer = only_longer(options_there, options) && !list_checkpoints(output_dir).empty();
  if (longer && rules.resumes) return Claim::goes_on;
  const std::string ways = longer ? "--resume_from_checkpoint true to train on" : "--overwrite_output_dir";
  if (const std::vector<std::string> differ = other_options(options_there, options); !differ.empty())
    fail(Code::usage, output_dir.string(), "the options of the run that is there, or " + ways, "others: " + join(differ, ", "));
  return value_or<bool>(there, "finished", false, marker.string()) ? Claim::finished : Claim::goes_on;
}

Claim claim_output(const fs::path& output_dir, const RunIdentity& run, const ClaimRules& rules) {
  const Claim claim = check_claim(output_dir, run, rules);
  require_writable_folder(output_dir);
  if (rules.overwrite) {
    std::error_code ignored;
    fs::remove(output_dir / marker_name, ignored);  // first: what it claims is about to go
    prune_checkpoints(output_dir, 0, "");
    for (const char* name : run_files) fs::remove(output_dir / name, ignored);
    fs::remove_all(output_dir / "runs", ignored);  // TensorBoard's events
  }
  remove_leftovers(output_dir);
  if (claim != Claim::finished) write_marker(output_dir, run, false);
  return claim;
}

bool is_claimed(const fs::path& output_dir) {
  return fs::exists(output_dir / marker_name);
}

bool same_contents(const fs::path& output_dir, const fs::path& other_dir, const std::string& option) {
  const std::multiset<std::string> here = digests_of(output_dir, option), there = digests_of(other_dir, option);
  return here.empty() || there.empty() || here == there;
}

void mark_finished(const fs::path& output_dir, const RunIdentity& run) {
  write_marker(output_dir, run, true);
}

}  // namespace dept
