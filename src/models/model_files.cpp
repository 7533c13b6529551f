#include "dept/models/model_files.h"

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "models/fp8.h"
#include "models/gguf_model.h"

namespace dept {
namespace {

// eos_token_id is an id or a list of ids.
std::vector<int64_t> read_eos(const Json& config, const std::string& where) {
  const auto found = config.find("eos_token_id");
  if (found == config.end() || found->is_null()) return {};
  if (found->is_array()) return require<std::vector<int64_t>>(config, "eos_token_id", where);
  return {require<int64_t>(config, "eos_token_id", where)};
}

// What an answer of an encoder-decoder starts with: its own id, else the one that begins a text (as transformers has it).
std::optional<int64_t> read_answer_start(const Json& config, const std::string& where) {
  for (const char* key : {"decoder_start_token_id", "bos_token_id"})
    if (const auto id = value_or<int64_t>(config, key, -1, where); id >= 0) return id;
  return std::nullopt;
}

ModelFiles open_gguf_model(const fs::path& path, bool with_weights) {
  const std::shared_ptr<const GgufFile> file = open_gguf(path);
  ModelFiles model{config_of_gguf(*file), path.string(), {}, nullptr, {}};
  model.eos_ids = read_eos(model.config, model.where);
  if (!with_weights) return model;
  model.weights = file;
  model.loader = gguf_loader(file, model.config, model.where, model.read);
  return model;
}

}  // namespace

ModelFiles open_model(const fs::path& path, bool with_weights) {
  if (path.extension() == ".gguf") return open_gguf_model(path, with_weights);
  std::error_code ignored;
  if (!fs::is_directory(path, ignored))
    fail(Code::io, "model_name_or_path", "a folder with config.json or a .gguf file", quote(path.string()));
  const fs::path config = path / "config.json", generation = path / "generation_config.json";
  ModelFiles model{read_json(config), config.string(), {}, nullptr, {}};
  model.eos_ids = read_eos(model.config, model.where);
  model.answer_start_id = read_answer_start(model.config, model.where);
  if (fs::exists(generation)) {
    const Json said = read_json(generation);
    const std::vector<int64_t> ids = read_eos(said, generation.string());
    if (!ids.empty()) model.eos_ids = ids;
    if (const auto start = read_answer_start(said, generation.string())) model.answer_start_id = start;
  }
  const auto fp8 = read_fp8_config(model.config, model.where);
  if (!with_weights) return model;
  model.weights = open_weights(path);
  model.loader = nn::WeightLoader(
      [weights = model.weights, fp8, names = model.read](const std::string& name, at::IntArrayRef shape, at::ScalarType dtype) {
        names->insert(name);
        return fp8 ? read_fp8(*weights, *fp8, name, shape, dtype, *names) : weights->read(name, shape, dtype);
      });
  return model;
}

}  // namespace dept
