#include <algorithm>
#include <array>
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

// Without it a repository is nothing that we use.
std::string config_of(ModelPart part) {
  return part == ModelPart::adapter ? "adapter_config.json" : "config.json";
}

// What of a model or adapter is missing; "" for a whole one.
std::string get_model(const GetFile& get, ModelPart part) {
  if (!get(config_of(part))) return config_of(part);
  if (part == ModelPart::adapter)
    return get("adapter_model.safetensors") || get("adapter_model.bin") ? "" : "adapter_model.safetensors or adapter_model.bin";
  bool tokenizer = false;
  for (const char* name : optional_files)
    if (get(name)) tokenizer |= std::find(vocabularies.begin(), vocabularies.end(), name) != vocabularies.end();
  if (part == ModelPart::tokenizer) return tokenizer ? "" : "tokenizer.json or another vocabulary";
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
std::string missing_in_cache(const Snapshot& snapshot, ModelPart part) {
  return get_model([&](const std::string& path) { return snapshot.cached(path); }, part);
}

void require_config(Snapshot& snapshot, const Repository& repository, ModelPart part) {
  if (!snapshot.probe(config_of(part)))
    fail(Code::io, repository.label(), config_of(part), str("a repository without, at ", repository.revision));
}

fs::path fetch_online(Snapshot& snapshot, const Repository& repository, ModelPart part) {
  const std::string missing = get_model([&](const std::string& path) { return snapshot.fetch(path); }, part);
  if (!missing.empty()) fail(Code::io, repository.label(), missing, str("a repository without, at ", repository.revision));
  snapshot.keep_revision();
  return snapshot.folder();
}

}  // namespace

void check_hub_model(const HubOptions& options, const std::string& name, const std::string& revision) {
  Snapshot snapshot(options, {RepoKind::model, name, revision});
  if (!missing_in_cache(snapshot, ModelPart::all).empty())
    require_config(snapshot, {RepoKind::model, name, revision}, ModelPart::all);
}

fs::path fetch_model(const HubOptions& options, const std::string& name, const std::string& revision, ModelPart part) {
  const Repository repository{RepoKind::model, name, revision};
  Snapshot snapshot(options, repository);
  const bool whole = missing_in_cache(snapshot, part).empty();
  const std::optional<fs::path> cached = whole ? snapshot.cached_folder() : std::nullopt;
  if (cached && (options.offline || is_commit(revision))) return *cached;
  if (!cached) {
    require_config(snapshot, repository, part);
    return fetch_online(snapshot, repository, part);
  }
  try {
    snapshot.look(config_of(part), true);  // the commit that the revision stands at now
  } catch (const Error& error) {
    log::warn(str(error.what(), "; going on with the one in the cache"));
    return *cached;
  }
  return fetch_online(snapshot, repository, part);
}

}  // namespace dept
