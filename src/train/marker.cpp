#include "dept/train/marker.h"

#include <array>
#include <span>
#include <vector>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/train/checkpoint.h"

namespace dept {
namespace {

constexpr const char* marker_name = "run.json";

// What else a run leaves in its folder, besides checkpoints.
constexpr std::array run_files = {
    "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin", "trainer_state.json",          "train_results.json",
    "eval_results.json",   "test_results.json",         "all_results.json",  "generated_predictions.jsonl", "README.md",
    "output.log"};

OrderedJson marker_json(const OrderedJson& options, bool finished) {
  const std::string text = options.dump();
  return {{"options_sha256", sha256_hex(std::as_bytes(std::span(text)))}, {"finished", finished}, {"options", options}};
}

std::string shown(const Json& options, const std::string& name) {
  return options.contains(name) ? options[name].dump() : "unset";
}

std::string differences(const Json& then, const Json& now) {
  Json names = then;
  names.update(now);
  std::string text;
  for (const auto& [name, value] : names.items())
    if (shown(then, name) != shown(now, name))
      text += str(text.empty() ? "" : ", ", name, " ", shown(now, name), " (there ", shown(then, name), ")");
  return text;
}

bool empty_but_hidden(const fs::path& folder) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (entry.path().filename().string()[0] != '.') return false;
  return true;
}

// What a killed run had under temporary names.
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

}  // namespace

Claim check_claim(const fs::path& output_dir, const OrderedJson& options, bool overwrite) {
  if (overwrite) return Claim::fresh;
  const fs::path marker = output_dir / marker_name;
  if (!fs::exists(marker)) {
    if (!empty_but_hidden(output_dir))
      fail(Code::usage, output_dir.string(), "an empty folder, an earlier run of this command, or --overwrite_output_dir",
           "other files");
    return Claim::fresh;
  }
  const Json there = read_json(marker);
  const std::string differ = differences(there.value("options", Json::object()), Json::parse(options.dump()));
  if (!differ.empty())
    fail(Code::usage, output_dir.string(), "the options of the run that is there, or --overwrite_output_dir",
         "others: " + differ);
  return value_or<bool>(there, "finished", false, marker.string()) ? Claim::finished : Claim::goes_on;
}

Claim claim_output(const fs::path& output_dir, const OrderedJson& options, bool overwrite) {
  const Claim claim = check_claim(output_dir, options, overwrite);
  require_writable_folder(output_dir);
  if (overwrite) {
    std::error_code ignored;
    fs::remove(output_dir / marker_name, ignored);  // first: what it claims is about to go
    prune_checkpoints(output_dir, 0, "");
    for (const char* name : run_files) fs::remove(output_dir / name, ignored);
    fs::remove_all(output_dir / "runs", ignored);  // TensorBoard's events
  }
  remove_leftovers(output_dir);
  if (claim == Claim::fresh) write_atomic(output_dir / marker_name, marker_json(options, false).dump(2) + "\n");
  return claim;
}

void mark_finished(const fs::path& output_dir, const OrderedJson& options) {
  write_atomic(output_dir / marker_name, marker_json(options, true).dump(2) + "\n");
}

}  // namespace dept
