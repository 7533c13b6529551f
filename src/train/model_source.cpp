#include "dept/train/model_source.h"

#include <algorithm>
#include <array>

namespace dept {

void describe(HubFlags& flags, OptionSet& set) {
  set.add("revision", flags.revision, "branch, tag or commit of a model on the hub").alias("model_revision");
  set.add("cache_dir", flags.cache_dir, "where what comes from the hub is kept (default: as HF_HUB_CACHE or HF_HOME says)");
  for (const char* name : {"token", "use_auth_token"})
    set.ignore(name, "HF_TOKEN, HF_TOKEN_PATH or the token file holds the hub's token: others can read a command line");
}

bool is_on_hub(const std::string& name) {
  static constexpr std::array files = {".gguf", ".safetensors", ".bin", ".json", ".model"};
  std::error_code error;
  if (fs::exists(name, error)) return false;
  if (is_gguf_name(name)) return true;
  if (!is_repository_name(name)) return false;
  return std::find(files.begin(), files.end(), fs::path(name).extension()) == files.end();
}

void check_on_hub(const std::string& name, const HubFlags& flags) {
  check_hub_model(hub_options(flags.cache_dir), name, flags.revision);
}

std::string lasting_name(const std::string& name) {
  return name.empty() || is_on_hub(name) ? name : fs::absolute(name).lexically_normal().string();
}

std::string name_in_adapter(const std::string& name, const fs::path& adapter) {
  std::error_code error;
  if (name.empty() || fs::exists(name, error) || !fs::exists(adapter / name, error)) return name;
  return lasting_name((adapter / name).string());
}

std::string place_on_disk(const std::string& name, const HubFlags& flags, ModelPart part) {
  return is_on_hub(name) ? fetch_model(hub_options(flags.cache_dir), name, flags.revision, part).string() : name;
}

}  // namespace dept
