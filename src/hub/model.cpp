#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <set>

#include "dept/base/error.h"
#include "dept/base/json.h"
#include "dept/base/log.h"
#include "dept/base/text.h"
#include "hub/snapshot.h"

namespace dept {
namespace {

// What may stand beside config.json and the weights.
constexpr std::array optional_files = {"generation_config.json",
                                       "tokenizer_config.json",
                                       "chat_template.jinja",
                                       "tokenizer.json",
                                       "special_tokens_map.json",
                                       "added_tokens.json",
                                       "spiece.model",
                                       "spm.model",
                                       "tokenizer.model",
                                       "vocab.json",
                                       "merges.txt",
                                       "vocab.txt"};
constexpr std::array<std::string_view, 6> vocabularies = {"tokenizer.json",  "spiece.model", "spm.model",
                                                          "tokenizer.model", "vocab.json",   "vocab.txt"};
constexpr size_t most_shards = 10000;

using GetFile = std::function<std::optional<fs::path>(const std::string&)>;

std::set<std::string> shards_in(const fs::path& index) {
  const Json json = read_json(index);
  const auto map = json.find("weight_map");
  if (map == json.end() || !map->is_object())
    fail(Code::bad_input, index.string() + ": weight_map", "an object", "something else");
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : map->items()) {
    const std::string name = shard.is_string() ? shard.get<std::string>() : "";
    if (!is_safe_path(name) || name.find('/') != name.npos)
      fail(Code::bad_input, str(index.string(), ": weight_map"), "names of files beside the index",
           shard.is_string() ? quote(name) : quote(shard.dump()));
    shards.insert(name);
    if (shards.size() > most_shards) fail(Code::bad_input, index.string(), str("at most ", most_shards, " shards"), "more");
  }
  return shards;
}

// A name's part of a repository: a model or adapter by its usual files, or .gguf files alone.
struct Wanted {
  ModelPart part;
  std::vector<std::string> gguf;
};

// "-00002-of-00003.gguf" at the end of a name.
std::optional<size_t> shards_of(std::string_view file) {
  constexpr std::string_view form = "-00000-of-00000.gguf";
  if (file.size() <= form.size()) return std::nullopt;
  const std::string_view ending = file.substr(file.size() - form.size());
  const auto alike = [](char c, char told) { return told == '0' ? c >= '0' && c <= '9' : c == told; };
  if (!std::equal(ending.begin(), ending.end(), form.begin(), alike)) return std::nullopt;
  size_t count = 0;
  std::from_chars(ending.data() + 10, ending.data() + 15, count);
  return count;
}

// The file, or all shards of its model.
std::vector<std::string> gguf_files(const std::string& file) {
  const std::optional<size_t> count = shards_of(file);
  if (!count) return {file};
  if (*count == 0 || *count > most_shards) fail(Code::usage, "hub", str("1 to ", most_shards, " shards"), quote(file));
  const auto digits = [](size_t number) {
    const std::string text = str(number);
    return std::string(5 - text.size(), '0') + text;
  };
  std::vector<std::string> files;
  for (size_t i = 1; i <= *count; ++i)
    files.push_back(str(file.substr(0, file.size() - 20), "-", digits(i), "-of-", digits(*count), ".gguf"));
  return files;
}

Wanted wanted(const ModelName& name, ModelPart part) {
  if (name.file.empty()) return {part, {}};
  if (!is_gguf_name(name.repository + ":" + name.file))
    fail(Code::usage, "hub", "a .gguf file of a repository as in ORG/REPO:FILE.gguf", quote(name.repository + ":" + name.file));
  return {part, gguf_files(name.file)};
}

// Without it a repository is nothing that we use.
std::string first_file(const Wanted& wanted) {
  if (!wanted.gguf.empty()) return wanted.gguf.front();
  return wanted.part == ModelPart::adapter ? "adapter_config.json" : "config.json";
}

// What of a model or adapter is missing; "" for a whole one.
std::string get_model(const GetFile& get, const Wanted& wanted) {
  for (const std::string& file : wanted.gguf)
    if (!get(file)) return file;
  if (!wanted.gguf.empty()) return "";
  if (!get(first_file(wanted))) return first_file(wanted);
  if (wanted.part == ModelPart::adapter)
    return get("adapter_model.safetensors") || get("adapter_model.bin") ? "" : "adapter_model.safetensors or adapter_model.bin";
  if (wanted.part == ModelPart::vision && !get("preprocessor_config.json") && !get("processor_config.json"))
    return "preprocessor_config.json or processor_config.json";
  bool tokenizer = false;
  for (const char* name : optional_files)
    if (wanted.part != ModelPart::vision && get(name))
      tokenizer |= std::find(vocabularies.begin(), vocabularies.end(), name) != vocabularies.end();
  if (wanted.part == ModelPart::tokenizer) return tokenizer ? "" : "tokenizer.json or another vocabulary";
  for (const std::string weights : {"model.safetensors", "pytorch_model.bin"}) {
    if (get(weights)) return "";
    const auto index = get(weights + ".index.json");
    if (!index) continue;
    for (const std::string& shard : shards_in(*index))
      if (!get(shard)) return shard;
    return "";
  }
  return "model.safetensors or pytorch_model.bin, whole or with an index";
}

// What the cache has, alone.
std::string missing_in_cache(const Snapshot& snapshot, const Wanted& wanted) {
  return get_model([&](const std::string& path) { return snapshot.cached(path); }, wanted);
}

void require_first_file(Snapshot& snapshot, const Repository& repository, const Wanted& wanted) {
  if (!snapshot.probe(first_file(wanted)))
    fail(Code::io, repository.label(), first_file(wanted), str("a repository without, at ", repository.revision));
}

fs::path fetch_online(Snapshot& snapshot, const Repository& repository, const Wanted& wanted) {
  const std::string missing = get_model([&](const std::string& path) { return snapshot.fetch(path); }, wanted);
  if (!missing.empty()) fail(Code::io, repository.label(), missing, str("a repository without, at ", repository.revision));
  snapshot.keep_revision();
  return snapshot.folder();
}

// The folder of what was asked for, in the cache.
fs::path fetch_folder(const HubOptions& options, const Repository& repository, const Wanted& wanted) {
  Snapshot snapshot(options, repository);
  const bool whole = missing_in_cache(snapshot, wanted).empty();
  const std::optional<fs::path> cached = whole ? snapshot.cached_folder() : std::nullopt;
  if (cached && (options.offline || is_commit(repository.revision))) return *cached;
  if (!cached) {
    require_first_file(snapshot, repository, wanted);
    return fetch_online(snapshot, repository, wanted);
  }
  try {
    snapshot.look(first_file(wanted), true);  // the commit that the revision stands at now
  } catch (const Error& error) {
    log::warn(str(error.what(), "; going on with the one in the cache"));
    return *cached;
  }
  return fetch_online(snapshot, repository, wanted);
}

}  // namespace

void check_hub_model(const HubOptions& options, const std::string& name, const std::string& revision) {
  const ModelName split = split_model_name(name);
  const Repository repository{RepoKind::model, split.repository, revision};
  const Wanted all = wanted(split, ModelPart::all);
  Snapshot snapshot(options, repository);
  if (!missing_in_cache(snapshot, all).empty()) require_first_file(snapshot, repository, all);
}

fs::path fetch_model(const HubOptions& options, const std::string& name, const std::string& revision, ModelPart part) {
  const ModelName split = split_model_name(name);
  const fs::path folder = fetch_folder(options, {RepoKind::model, split.repository, revision}, wanted(split, part));
  return split.file.empty() ? folder : folder / split.file;
}

}  // namespace dept
