#include <algorithm>
#include <cstdio>

#include "dept/base/error.h"
#include "dept/base/json.h"
#include "dept/base/log.h"
#include "dept/base/text.h"
#include "hub/snapshot.h"

namespace dept {
namespace {

constexpr int most_parquet_shards = 10000;
constexpr const char* revision = "refs/convert/parquet";  // where the hub keeps every data set as parquet

Repository repository_of(const std::string& name) {
  return {RepoKind::dataset, name, revision};
}

// "sst2/train/0000.parquet"
std::string shard_path(const ParquetSplit& split, int number) {
  char name[32];
  std::snprintf(name, sizeof name, "%04d.parquet", number);
  return str(split.config, "/", split.split, "/", name);
}

void require_names(const ParquetSplit& split) {
  for (const std::string& name : {split.config, split.split})
    if (!is_safe_path(name) || name.find('/') != name.npos)
      fail(Code::usage, "hub: datasets/" + split.repository, "names of a configuration and a split", quote(name));
}

std::string listing_address(const HubOptions& options, const std::string& repository) {
  return str(options.endpoint, "/api/datasets/", repository, "/parquet");
}

// {"config": {"split": [address of each file]}}; absent where an endpoint keeps no such list.
std::optional<Json> ask_listing(Snapshot& snapshot, const HubOptions& options, const std::string& repository) {
  const HttpResponse response = snapshot.client().get(listing_address(options, repository), false);
  const std::string& code = response.header("x-error-code");
  if (response.status == 404 && (code.empty() || code == "EntryNotFound")) return std::nullopt;
  if (!response.ok()) snapshot.refuse(response, "parquet");
  Json listing = parse_json(response.body, response.url);
  if (!listing.is_object()) fail(Code::bad_input, response.url, "an object of configurations", "something else");
  return listing;
}

std::vector<std::string> keys_of(const Json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

[[noreturn]] void fail_unknown(const ParquetSplit& split, std::string_view what, const std::string& name,
                               const std::vector<std::string>& known) {
  const std::string nearest = nearest_name(name, known);
  fail(Code::usage, "hub: datasets/" + split.repository,
       known.empty() ? str("a ", what, " that it has") : str(what, " ", quote(join(known, ", "), 200)),
       str(quote(name), nearest.empty() ? "" : str(" (the nearest is ", quote(nearest), ")")));
}

// How many files the list has for the split; absent without a list. Throws usage for a configuration or split that it lacks.
std::optional<size_t> listed_files(const std::optional<Json>& listing, const ParquetSplit& split) {
  if (!listing) return std::nullopt;
  const auto config = listing->find(split.config);
  if (config == listing->end() || !config->is_object()) fail_unknown(split, "configuration", split.config, keys_of(*listing));
  const auto files = config->find(split.split);
  if (files == config->end() || !files->is_array()) fail_unknown(split, "split", split.split, keys_of(*config));
  return files->size();
}

// With the names that there are, where there is no such split.
void require_first(Snapshot& snapshot, const HubOptions& options, const ParquetSplit& split) {
  if (snapshot.probe(shard_path(split, 0))) return;
  listed_files(ask_listing(snapshot, options, split.repository), split);
  fail_unknown(split, "split", split.config + "/" + split.split, {});
}

struct Cached {
  std::vector<fs::path> files;
  bool whole = false;    ///< the mark of the next number's absence says so
  bool started = false;  ///< without that mark: there are files, perhaps not all of them
};

Cached in_cache(const Snapshot& snapshot, const ParquetSplit& split) {
  Cached cached;
  int number = 0;
  for (; number < most_parquet_shards; ++number) {
    const auto file = snapshot.cached(shard_path(split, number));
    if (!file) break;
    cached.files.push_back(*file);
  }
  cached.whole = number > 0 && snapshot.known_absent(shard_path(split, number));
  cached.started = number > 0;
  return cached;
}

std::vector<fs::path> fetch_online(Snapshot& snapshot, const HubOptions& options, const ParquetSplit& split) {
  const std::optional<size_t> listed = listed_files(ask_listing(snapshot, options, split.repository), split);
  // All are looked for before one is fetched, so that the cache knows from the start how many there are.
  const int most = listed ? static_cast<int>(std::min<size_t>(*listed + 1, most_parquet_shards)) : most_parquet_shards;
  int count = 0;
  while (count < most && snapshot.look(shard_path(split, count), false)) ++count;
  if (count == 0) fail_unknown(split, "split", split.config + "/" + split.split, {});
  if (listed && *listed != static_cast<size_t>(count))
    fail(Code::io, "hub: datasets/" + split.repository,
         str(*listed, " files of ", split.config, "/", split.split, ", as its list says"), str(count));
  std::vector<fs::path> files;
  for (int number = 0; number < count; ++number) {
    const auto file = snapshot.fetch(shard_path(split, number));
    if (!file) fail(Code::io, "hub: datasets/" + split.repository, shard_path(split, number), "none any more");
    files.push_back(*file);
  }
  snapshot.keep_revision();
  return files;
}

}  // namespace

void check_hub_parquet(const HubOptions& options, const ParquetSplit& split) {
  require_names(split);
  Snapshot snapshot(options, repository_of(split.repository));
  const Cached cached = in_cache(snapshot, split);
  if (!cached.whole && !(options.offline && cached.started)) require_first(snapshot, options, split);
}

std::vector<fs::path> fetch_parquet(const HubOptions& options, const ParquetSplit& split) {
  require_names(split);
  Snapshot snapshot(options, repository_of(split.repository));
  Cached cached = in_cache(snapshot, split);
  const auto use_cache = [&] {
    if (!cached.whole)
      log::warn(str("hub: datasets/", split.repository, ": ", cached.files.size(), " files of ", split.config, "/", split.split,
                    " are in the cache; whether there are more only the hub knows"));
    return std::move(cached.files);
  };
  if (options.offline && cached.started) return use_cache();
  if (!cached.started) {
    require_first(snapshot, options, split);
    return fetch_online(snapshot, options, split);
  }
  try {
    snapshot.look(shard_path(split, 0), true);
  } catch (const Error& error) {
    log::warn(str(error.what(), "; going on with the one in the cache"));
    return use_cache();
  }
  if (cached.whole && snapshot.folder() == snapshot.cached_folder()) return std::move(cached.files);
  return fetch_online(snapshot, options, split);
}

std::vector<ParquetSplit> list_parquet(const HubOptions& options, const std::string& repository) {
  Snapshot snapshot(options, repository_of(repository));
  snapshot.probe(".gitattributes");  // which every repository has; it is the answer that counts
  const std::optional<Json> listing = ask_listing(snapshot, options, repository);
  if (!listing)
    fail(Code::io, "hub: datasets/" + repository, str("a list of parquet files at ", listing_address(options, repository)),
         "none");
  std::vector<ParquetSplit> splits;
  for (const auto& [config, parts] : listing->items())
    for (const std::string& split : keys_of(parts)) splits.push_back({repository, config, split});
  return splits;
}

}  // namespace dept
