// The Hugging Face hub, read only: models and data sets as parquet, in the cache folder of Python's huggingface_hub, shared both
// ways. docs/hub.md says what is verified and what is read from the environment.
#pragma once

#include <string>
#include <vector>

#include "dept/base/file.h"

namespace dept {

struct HubOptions {
  std::string endpoint = "https://huggingface.co";
  fs::path cache;
  std::string token;         ///< "" none
  bool offline = false;      ///< only what the cache holds
  double contact = 0.9;      ///< seconds in which a check has to find the endpoint
  double answer = 10;        ///< seconds for an answer without a file's bytes
  double stall = 10;         ///< seconds that a download may stay under 1 KB/s
  double pause = 0.5;        ///< seconds before the second attempt; doubled for each further one
  int attempts = 5;          ///< of a request that may succeed later, or at a file in a row without getting further
  int attempts_in_all = 20;  ///< at a file, those that get further too
  double patience = 60;      ///< the longest Retry-After in seconds that is waited for
  std::string ca_bundle;     ///< certificates to trust; "" the system's
};

/// From the environment: HF_ENDPOINT; HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME, XDG_CACHE_HOME; HF_TOKEN, HF_TOKEN_PATH;
/// HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE; HF_HUB_ETAG_TIMEOUT, HF_HUB_DOWNLOAD_TIMEOUT. Throws usage for what makes no sense.
/// `cache_dir` unless "" is the cache in their place.
HubOptions hub_options(const std::string& cache_dir = "");

/// Whether `name` may be a repository's on the hub, "t5-base" or "google-t5/t5-base".
bool is_repository_name(const std::string& name);

/// Whether `name` may be a .gguf file of a repository, "ORG/REPO:FILE.gguf"; of a model in several files any one of them.
bool is_gguf_name(const std::string& name);

/// Says within about a second whether fetch_model can begin: the cache has all of it, or the endpoint knows it. Throws io.
void check_hub_model(const HubOptions& options, const std::string& name, const std::string& revision);

enum class ModelPart { all, tokenizer, adapter, vision };

/// Config, tokenizer and, for `all`, weights (safetensors, else pytorch_model.bin) of the revision (a branch, tag or commit), of
/// an adapter config and weights, of a vision model these and its image processor's config, from the cache or the endpoint.
/// Returns their folder. Of ORG/REPO:FILE.gguf that file, with the other shards (-00001-of-00003) of its model, whatever the
/// part; returns the file's path. Throws usage for an impossible name or revision, io.
fs::path fetch_model(const HubOptions& options, const std::string& name, const std::string& revision,
                     ModelPart part = ModelPart::all);

/// A split of a data set, as the parquet files of its branch refs/convert/parquet.
struct ParquetSplit {
  std::string repository, config, split;
};

/// As check_hub_model, for fetch_parquet.
void check_hub_parquet(const HubOptions& options, const ParquetSplit& split);

/// The split's files in the order of its rows. Throws usage for an impossible name, io.
std::vector<fs::path> fetch_parquet(const HubOptions& options, const ParquetSplit& split);

/// All splits of a data set. Throws io.
std::vector<ParquetSplit> list_parquet(const HubOptions& options, const std::string& repository);

}  // namespace dept
