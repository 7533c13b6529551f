// The adapters of --adapters_dir: found in its folders as these come and go, or loaded and unloaded by name.
#pragma once

#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "dept/base/file.h"
#include "dept/serve/engine.h"

namespace dept::http {

class Adapters {
 public:
  /// Without a folder nothing is found and nothing can be loaded.
  Adapters(serve::Engine& engine, std::optional<fs::path> root);
  ~Adapters();

  /// Loads what is there, then looks again every two seconds on a thread of its own. A folder that cannot be used is named in a
  /// warning.
  void start();
  /// Looks no more.
  void stop();

  /// Throws ApiError: 400 for a broken folder and a name that is taken, 404 for a folder that is not there.
  void load(const std::string& name, const std::string& folder);
  /// Returns when the requests that have the adapter are through. Throws ApiError 404.
  void unload(const std::string& name);

  /// One look at the folders. What is new, other or gone counts once two looks in a row agree on it, or `at_once`.
  void look(bool at_once = false);

 private:
  /// What a folder's files are: another text where one of them is another. "" for one that is not whole.
  using State = std::string;
  struct Loaded {
    std::string folder;
    State state;
  };

  State state_of(const std::string& folder) const;
  std::map<std::string, State> whole_folders();
  void update(const std::string& folder, const State& state);
  bool requests_go_on() const;
  void drop(const std::string& folder);
  void add(const std::string& name, const std::string& folder, const State& state);
  std::shared_future<bool> remove(const std::string& name);

  serve::Engine& engine_;
  std::optional<fs::path> root_;
  bool readable_ = true;
  std::mutex changes_;                           // one change at a time
  std::map<std::string, State> seen_;            // folders at the last look
  std::map<std::string, State> settled_;         // folders that were dealt with, as they were
  std::map<std::string, Loaded> names_;          // adapters that came from a folder
  std::vector<std::shared_future<bool>> going_;  // adapters that requests still have

  std::thread watch_;
  std::mutex ending_;
  std::condition_variable wake_;
  bool ends_ = false;
};

}  // namespace dept::http
