#include "dept/train/identity.h"

#include <array>
#include <set>

#include "dept/base/digest.h"
#include "dept/base/text.h"
#include "dept/train/class_weights.h"
#include "dept/train/visual_input.h"

namespace dept {
namespace {

constexpr std::array undeciding = {"output_dir",
                                   "overwrite_output_dir",
                                   "do_predict_all",
                                   "resume_from_checkpoint",
                                   "save_total_limit",
                                   "report",
                                   "report_to",
                                   "logging_dir",
                                   "disable_tqdm",
                                   "cache_dir",
                                   "push_to_hub",
                                   "threads",
                                   "ranks",
                                   "rank_timeout",
                                   "device"};

// A run of texts alone has none of these, as runs had none before there were images.
constexpr std::array of_images = {"visual", "image_folder", "image_column", "visual_embedding", "visual_learning_rate"};

// What a folder holds of a model, a tokenizer or an adapter besides weights.
constexpr std::array side_files = {"config.json",    "generation_config.json",  "adapter_config.json", "tokenizer_config.json",
                                   "tokenizer.json", "special_tokens_map.json", "added_tokens.json",   "spiece.model",
                                   "spm.model",      "tokenizer.model",         "vocab.json",          "merges.txt",
                                   "vocab.txt"};

constexpr uint64_t most_index_bytes = 100'000'000;

std::string whole(const fs::path& path) {
  Digest digest;
  add_file(digest, path);
  return digest.hex();
}

void note_weights(OrderedJson& contents, const fs::path& folder) {
  std::error_code error;
  std::set<std::string> names = {"adapter_model.safetensors", "adapter_model.bin", "model.safetensors", "pytorch_model.bin"};
  for (const std::string whole_file : {"model.safetensors", "pytorch_model.bin"}) {
    const fs::path index = folder / (whole_file + ".index.json");
    if (fs::exists(folder / whole_file, error) || !fs::exists(index, error)) continue;
    names.insert(index.filename().string());
    const Json shards = read_json(index, most_index_bytes).value("weight_map", Json::object());
    for (const auto& [tensor, shard] : shards.items())
      if (shard.is_string()) names.insert(shard.get<std::string>());
  }
  for (const std::string& name : names)
    if (fs::is_regular_file(folder / name, error)) contents[name] = sampled_sha256(folder / name);
}

// A .gguf file, with its other parts where it is one of several.
void note_file(OrderedJson& contents, const fs::path& path) {
  const std::string name = path.filename().string();
  const size_t part = name.find("-00001-of-");
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path.has_parent_path() ? path.parent_path() : ".", error)) {
    const std::string other = entry.path().filename().string();
    if (other == name || (part != name.npos && other.rfind(name.substr(0, part) + "-0", 0) == 0))
      contents[other] = sampled_sha256(entry.path());
  }
}

void note_model(OrderedJson& contents, const char* option, const std::string& name) {
  std::error_code error;
  if (name.empty() || !fs::exists(name, error)) return;
  OrderedJson found = OrderedJson::object();
  if (fs::is_directory(name, error)) {
    for (const char* side : side_files)
      if (fs::exists(fs::path(name) / side, error)) found[side] = whole(fs::path(name) / side);
    note_weights(found, name);
  } else {
    note_file(found, name);
  }
  contents[option] = found;
}

void note_data(OrderedJson& contents, const char* option, const std::vector<std::string>& paths) {
  for (const std::string& path : paths) contents[option][path] = whole(path);
}

std::string digest_of(const std::vector<TextExample>& rows) {
  Digest digest;
  const auto add = [&](const std::string& text) { digest.add(str(text.size(), ":", text)); };
  for (const TextExample& row : rows) {
    add(row.source);
    add(row.target);
    add(row.group);
    if (!row.image.empty()) add(row.image);
    for (const std::string& answer : row.answers) add(answer);
  }
  return digest.hex();
}

}  // namespace

OrderedJson deciding_options(const OptionSet& set) {
  OrderedJson options = set.dump_json();
  for (const char* name : undeciding) options.erase(name);
  for (const char* name : of_images)
    if (options.contains(name) && (options[name].is_null() || options[name] == "")) options.erase(name);
  return options;
}

OrderedJson file_contents(const TrainOptions& o) {
  OrderedJson contents = OrderedJson::object();
  if (o.data.task_file) note_data(contents, "task_file", {*o.data.task_file});
  note_data(contents, "train_file", o.data.task.train_file);
  note_data(contents, "validation_file", o.data.task.validation_file);
  note_data(contents, "test_file", o.data.task.test_file);
  if (const std::string& weights = o.optimizer.class_weights; is_weights_file(weights))
    note_data(contents, "class_weights", {weights});
  note_model(contents, "model_name_or_path", o.model.path());
  note_model(contents, "tokenizer_name", o.model.tokenizer_path.empty() ? o.model.tokenizer_name : o.model.tokenizer_path);
  note_model(contents, "peft_model_id", o.model.peft_model_id);
  if (const ImageOptions& images = o.model.images; sees_images(images))
    note_model(contents, "visual", images.visual_path.empty() ? images.visual : images.visual_path);
  return contents;
}

OrderedJson row_contents(const DataOptions& options, const TaskData& task) {
  OrderedJson contents = OrderedJson::object();
  if (!options.named()) return contents;
  const auto note = [&](const char* split, const std::vector<TextExample>& rows) {
    if (!rows.empty()) contents[split] = {{"rows", digest_of(rows)}};
  };
  note("train", task.train);
  note("validation", task.validation);
  note("test", task.test);
  return contents;
}

}  // namespace dept
