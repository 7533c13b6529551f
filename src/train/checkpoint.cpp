#include "dept/train/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr std::string_view folder_prefix = "checkpoint-";

std::optional<int64_t> step_of(const fs::path& folder) {
  const std::string name = folder.filename().string();
  if (name.rfind(folder_prefix, 0) != 0) return std::nullopt;
  int64_t step = 0;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + folder_prefix.size(), end, step);
  return error == std::errc() && stop == end ? std::optional(step) : std::nullopt;
}

std::string to_hex(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (unsigned char byte : bytes) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

std::string from_hex(std::string_view text, std::string_view where) {
  std::string bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    unsigned char byte = 0;
    const auto [stop, error] = std::from_chars(text.data() + i, text.data() + i + 2, byte, 16);
    if (error != std::errc() || stop != text.data() + i + 2) fail(Code::bad_input, where, "hexadecimal digits", quote(text));
    bytes += static_cast<char>(byte);
  }
  return bytes;
}

OrderedJson training_state_json(const TrainState& state) {
  OrderedJson json = {{"step", state.step},
                      {"epoch", state.epoch},
                      {"batch", state.batch},
                      {"micro_steps", state.micro_steps},
                      {"epochs", state.epochs},
                      {"loss_sum", state.loss_sum},
                      {"logged_loss_sum", state.logged_loss_sum},
                      {"logged_step", state.logged_step},
                      {"stale_evaluations", state.stale_evaluations},
                      {"generator", to_hex(state.generator)}};
  if (!state.schedule.is_null()) json["schedule"] = state.schedule;
  if (!state.owed.empty()) {
    json["owed"] = state.owed;
    json["epoch_ended"] = state.epoch_ended;
  }
  return json;
}

// Renamed first, so that a half-removed folder is never taken for a checkpoint.
void remove_checkpoint(const fs::path& folder) {
  const fs::path doomed = folder.parent_path() / str(".", folder.filename().string(), ".removed");
  std::error_code error;
  fs::remove_all(doomed, error);
  fs::rename(folder, doomed, error);
  if (!error) fs::remove_all(doomed, error);
  if (error) fail(Code::io, folder.string(), "a checkpoint that can be removed", error.message());
}

TrainState read_state(const fs::path& folder) {
  const std::string where = (folder / "training_state.json").string();
  const Json json = read_json(where);
  TrainState state;
  state.step = require<int64_t>(json, "step", where);
  state.epoch = require<int64_t>(json, "epoch", where);
  state.batch = require<int64_t>(json, "batch", where);
  state.micro_steps = require<int64_t>(json, "micro_steps", where);
  state.epochs = require<double>(json, "epochs", where);
  state.loss_sum = require<double>(json, "loss_sum", where);
  state.logged_loss_sum = require<double>(json, "logged_loss_sum", where);
  state.logged_step = require<int64_t>(json, "logged_step", where);
  state.stale_evaluations = value_or<int64_t>(json, "stale_evaluations", 0, where);
  state.generator = from_hex(require<std::string>(json, "generator", where), where);
  if (json.contains("schedule")) state.schedule = OrderedJson(json["schedule"]);
  state.owed = value_or<std::string>(json, "owed", "", where);
  state.epoch_ended = value_or<bool>(json, "epoch_ended", false, where);
  if (!state.owed.empty() && state.owed != "steps" && state.owed != "epoch")
    fail(Code::bad_input, where + ": owed", "steps or epoch", quote(state.owed));

  // Read again with its keys in order: the log is written as it was.
  const fs::path trainer = folder / "trainer_state.json";
  const Json kept = read_json(trainer);
  state.best_checkpoint =  // wherever the run lies now
      fs::path(value_or<std::string>(kept, "best_model_checkpoint", "", trainer.string())).filename().string();
  state.total_flos = value_or<double>(kept, "total_flos", 0, trainer.string());
  if (!state.best_checkpoint.empty()) state.best_metric = require<double>(kept, "best_metric", trainer.string());
  state.log = OrderedJson::parse(read_file(trainer)).at("log_history");
  return state;
}

}  // namespace

std::string checkpoint_name(int64_t step) {
  return dept::str(folder_prefix, step);
}

OrderedJson trainer_state_json(const TrainState& state, int64_t max_steps, const fs::path& output_dir) {
  OrderedJson json;
  json["best_metric"] = state.best_metric ? OrderedJson(*state.best_metric) : OrderedJson(nullptr);
  json["best_model_checkpoint"] =
      state.best_metric ? OrderedJson((output_dir / state.best_checkpoint).string()) : OrderedJson(nullptr);
  json["epoch"] = state.epochs;
  json["global_step"] = state.step;
  json["is_hyper_param_search"] = false;
  json["is_local_process_zero"] = true;
  json["is_world_process_zero"] = true;
  json["log_history"] = state.log;
  json["max_steps"] = max_steps;
  json["num_train_epochs"] = static_cast<int64_t>(std::ceil(state.num_train_epochs));
  json["total_flos"] = state.total_flos;
  json["trial_name"] = nullptr;
  json["trial_params"] = nullptr;
  return json;
}

void save_checkpoint(const fs::path& output_dir, const TrainState& state, int64_t max_steps, const AdapterConfig& config,
                     const AdapterWeights& weights, const NamedTensors& optimizer) {
  AtomicFolder folder(output_dir / checkpoint_name(state.step));
  save_adapter(folder.path(), config, weights, 0, {.network = true});
  save_safetensors(folder.path() / "optimizer.safetensors", optimizer);
  write_atomic(folder.path() / "training_state.json", training_state_json(state).dump(2) + "\n");
  write_atomic(folder.path() / "trainer_state.json", trainer_state_json(state, max_steps, output_dir).dump(2) + "\n");
  folder.commit();
}

Checkpoint load_checkpoint(const fs::path& folder, int64_t hidden) {
  Checkpoint checkpoint{read_state(folder), load_adapter(folder, hidden, {.use = AdapterUse::training}), {}};
  const auto optimizer = open_safetensors(folder / "optimizer.safetensors");
  for (const TensorInfo& tensor : optimizer->tensors())
    checkpoint.optimizer.emplace_back(tensor.name, optimizer->read(tensor.name));
  return checkpoint;
}

void copy_checkpoint(const fs::path& from, const fs::path& output_dir) {
  AtomicFolder folder(output_dir / from.filename());
  std::error_code error;
  fs::copy(from, folder.path(), fs::copy_options::recursive, error);
  if (error) fail(Code::io, from.string(), "a checkpoint that can be copied", error.message());
  folder.commit();
}

std::vector<fs::path> list_checkpoints(const fs::path& output_dir) {
  std::vector<fs::path> folders;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(output_dir, error))
    if (entry.is_directory() && step_of(entry.path())) folders.push_back(entry.path());
  std::sort(folders.begin(), folders.end(), [](const fs::path& a, const fs::path& b) { return *step_of(a) < *step_of(b); });
  return folders;
}

void drop_later_checkpoints(const fs::path& output_dir, int64_t step) {
  for (const fs::path& folder : list_checkpoints(output_dir))
    if (*step_of(folder) > step) remove_checkpoint(folder);
}

void prune_checkpoints(const fs::path& output_dir, int64_t limit, const std::string& best) {
  const std::vector<fs::path> folders = list_checkpoints(output_dir);
  int64_t excess = static_cast<int64_t>(folders.size()) - limit;
  for (const fs::path& folder : folders) {
    if (excess <= 0) return;
    if (limit > 0 && (folder.filename() == best || folder == folders.back())) continue;
    --excess;
    remove_checkpoint(folder);
  }
}

}  // namespace dept
