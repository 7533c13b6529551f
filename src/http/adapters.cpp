#include "http/adapters.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "dept/base/log.h"
#include "dept/base/text.h"
#include "http/message.h"

namespace dept::http {
namespace {

constexpr auto look_interval = std::chrono::seconds(2);
constexpr const char* weights_file = "adapter_model.safetensors";
constexpr const char* config_file = "adapter_config.json";

bool is_folder_name(std::string_view name) {
  const auto fine = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
  };
  return !name.empty() && name != "." && name != ".." && std::all_of(name.begin(), name.end(), fine);
}

// The kind, and whether it is the same file with the same bytes as before. No link is followed.
std::string state_of_file(const fs::path& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return "";
  return str(status.st_dev, ":", status.st_ino, ":", status.st_size, ":", status.st_mtim.tv_sec, ".", status.st_mtim.tv_nsec,
             ";");
}

bool is_plain_folder(const fs::path& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

}  // namespace

Adapters::Adapters(serve::Engine& engine, std::optional<fs::path> root) : engine_(engine), root_(std::move(root)) {}

Adapters::~Adapters() {
  stop();
}

void Adapters::start() {
  if (!root_) return;
  look(true);
  watch_ = std::thread([this] {
    std::unique_lock lock(ending_);
    while (!wake_.wait_for(lock, look_interval, [this] { return ends_; })) {
      lock.unlock();
      look();
      lock.lock();
    }
  });
}

void Adapters::stop() {
  {
    const std::lock_guard lock(ending_);
    ends_ = true;
  }
  wake_.notify_all();
  if (watch_.joinable()) watch_.join();
}

Adapters::State Adapters::state_of(const std::string& folder) const {
  const fs::path path = *root_ / folder;
  if (!is_plain_folder(path)) return "";
  const std::string weights = state_of_file(path / weights_file), config = state_of_file(path / config_file);
  return weights.empty() || config.empty() ? "" : weights + config;
}

// Names that begin with a dot are those of folders that somebody still writes.
std::map<std::string, Adapters::State> Adapters::whole_folders() {
  std::map<std::string, State> found;
  std::error_code error;
  for (fs::directory_iterator at(*root_, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (!is_folder_name(name) || name.front() == '.') continue;
    if (State state = state_of(name); !state.empty()) found.emplace(name, std::move(state));
  }
  if (error && std::exchange(readable_, false))
    log::warn(str("[--adapters_dir] expected a folder that can be read, received ", error.message()));
  if (!error) readable_ = true;
  return found;
}

void Adapters::look(bool at_once) {
  const std::lock_guard lock(changes_);
  std::map<std::string, State> now = whole_folders();
  std::vector<std::string> missing;
  for (const auto& [folder, state] : settled_)
    if (!now.contains(folder) && (at_once || !seen_.contains(folder))) missing.push_back(folder);
  for (const std::string& folder : missing) drop(folder);
  for (const auto& [folder, state] : now) {
    const auto before = seen_.find(folder), settled = settled_.find(folder);
    const bool steady = at_once || (before != seen_.end() && before->second == state);
    if (steady && (settled == settled_.end() || settled->second != state)) update(folder, state);
  }
  seen_ = std::move(now);
  std::erase_if(going_, [](const auto& each) { return each.wait_for(std::chrono::seconds(0)) == std::future_status::ready; });
}

// The adapters that came from the folder, and the one of its own name.
void Adapters::update(const std::string& folder, const State& state) {
  settled_[folder] = state;
  std::vector<std::string> names = {folder};
  for (const auto& [name, loaded] : names_)
    if (name != folder && loaded.folder == folder && loaded.state != state) names.push_back(name);
  for (const std::string& name : names) {
    const auto loaded = names_.find(name);
    if (loaded != names_.end() && loaded->second.folder == folder && loaded->second.state == state) continue;
    try {
      add(name, folder, state);
      log::info(str("[--adapters_dir] adapter ", quote(name), " is there"));
    } catch (const std::exception& error) {
      if (engine_.model(name) || !requests_go_on()) {
        log::warn(str("[--adapters_dir: ", folder, "] is left out: ", error.what()));
      } else {
        settled_.erase(folder);  // the name may be that of an adapter that requests still have: at the next look again
      }
    }
  }
}

bool Adapters::requests_go_on() const {
  return std::any_of(going_.begin(), going_.end(),
                     [](const auto& each) { return each.wait_for(std::chrono::seconds(0)) != std::future_status::ready; });
}

void Adapters::drop(const std::string& folder) {
  settled_.erase(folder);
  std::vector<std::string> names;
  for (const auto& [name, loaded] : names_)
    if (loaded.folder == folder) names.push_back(name);
  for (const std::string& name : names) {
    remove(name);
    log::info(str("[--adapters_dir] adapter ", quote(name), " is gone"));
  }
}

// In the place of what came from the same folder before, which stays where the new one is refused.
void Adapters::add(const std::string& name, const std::string& folder, const State& state) {
  const auto before = names_.find(name);
  if (before != names_.end() && before->second.folder == folder)
    engine_.replace_adapter(name, *root_ / folder);
  else
    engine_.add_adapter(name, *root_ / folder);
  names_[name] = {folder, state};
}

// Nobody finds the name when it returns; its requests may go on for long.
std::shared_future<bool> Adapters::remove(const std::string& name) {
  names_.erase(name);
  const auto going = std::async(std::launch::async, [this, name] { return engine_.remove_adapter(name); }).share();
  while (engine_.model(name) && going.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) {
  }
  going_.push_back(going);
  return going;
}

void Adapters::load(const std::string& name, const std::string& folder) {
  if (!root_) throw ApiError(400, "[lora_path] expected a server with --adapters_dir, received one without");
  if (!is_folder_name(folder)) refuse("lora_path", "the name of a folder in --adapters_dir", quote(folder));
  const std::lock_guard lock(changes_);
  if (!is_plain_folder(*root_ / folder))
    throw ApiError(404, str("[lora_path] expected a folder in --adapters_dir, received ", quote(folder)), "lora_path");
  const State state = state_of(folder);
  if (state.empty())
    refuse("lora_path", str("a folder with ", config_file, " and ", weights_file),
           str(quote(folder), ", which lacks one of them"));
  if (engine_.model(name)) refuse("lora_name", "a name that is not taken", quote(name));
  try {
    engine_.add_adapter(name, *root_ / folder);
  } catch (const Error& error) {
    if (error.code() == Code::bug) throw;
    throw ApiError(400, str("[lora_path: ", folder, "] ", error.what()), "lora_path");
  }
  names_[name] = {folder, state};
  if (name == folder) settled_[folder] = state;
}

void Adapters::unload(const std::string& name) {
  std::shared_future<bool> going;
  {
    const std::lock_guard lock(changes_);
    if (const auto loaded = names_.find(name); loaded != names_.end() && loaded->second.folder == name)
      settled_[name] = loaded->second.state;
    going = remove(name);
  }
  if (!going.get())
    throw ApiError(404, str("[lora_name] expected a loaded adapter, received ", quote(name)), "lora_name", "model_not_found");
}

}  // namespace dept::http
