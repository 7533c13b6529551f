// tests/hub/hub_server.py as a child: files to serve, faults to show, and what it was asked for.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "dept/base/json.h"
#include "dept/hub/hub.h"
#include "unit/base/scratch.h"

namespace dept {

class LoopbackHub {
 public:
  enum class Content { none, original_tasks };  ///< the latter: what make_hub.py lays out

  explicit LoopbackHub(Content laid_out = Content::none) {
    if (laid_out == Content::original_tasks) {
      const std::string command = str(DEPT_PYTHON, " ", DEPT_TEST_DATA, "/hub/make_hub.py ", root_.path().string());
      EXPECT_EQ(std::system(command.c_str()), 0);
    }
    const std::string program = DEPT_TEST_DATA "/hub/hub_server.py", root = root_.path().string();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::execl(DEPT_PYTHON, DEPT_PYTHON, program.c_str(), root.c_str(), "120", nullptr);
      ::_exit(127);
    }
    const fs::path ready = root_ / "hub.json";
    for (int i = 0; i < 1000 && !fs::exists(ready); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    const Json addresses = read_json(ready);
    endpoint = addresses["endpoint"];
    content = addresses["content"];
  }
  ~LoopbackHub() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  LoopbackHub(const LoopbackHub&) = delete;
  LoopbackHub& operator=(const LoopbackHub&) = delete;

  /// "models/t5-base/config.json"
  void put(const std::string& path, std::string_view bytes) const {
    fs::create_directories((root_ / path).parent_path());
    write_atomic(root_ / path, bytes);
  }
  /// The smallest that is whole.
  void put_model(const std::string& name = "tiny", const std::string& weights = "weights") const {
    put("models/" + name + "/config.json", "{}");
    put("models/" + name + "/tokenizer.json", "{\"tokens\": []}");
    put("models/" + name + "/model.safetensors", weights);
  }
  void put_split(const std::string& repository, const std::string& split, int files) const {
    for (int i = 0; i < files; ++i)
      put(str("datasets/", repository, "/plain/", split, "/000", i, ".parquet"), str("rows ", i, " of ", split));
  }
  void faults(const Json& list) const { write_atomic(root_ / "faults.json", list.dump()); }
  void renamed(const std::string& from, const std::string& to) const {
    write_atomic(root_ / "renamed.json", Json{{from, to}}.dump());
  }
  void access(const Json& rules) const { write_atomic(root_ / "access.json", rules.dump()); }

  std::vector<Json> requests() const {
    std::vector<Json> lines;
    if (!fs::exists(root_ / "requests.jsonl")) return lines;
    std::istringstream text(read_file(root_ / "requests.jsonl"));
    for (std::string line; std::getline(text, line);) lines.push_back(Json::parse(line));
    return lines;
  }
  /// How many there were of this kind; "" any method or place.
  size_t count(const std::string& method, const std::string& path = "", const std::string& on = "") const {
    size_t found = 0;
    for (const Json& request : requests())
      found += (method.empty() || request["method"] == method) && (on.empty() || request["on"] == on) &&
               request["path"].get<std::string>().find(path) != std::string::npos;
    return found;
  }

  /// For a cache of the test's own, without waits.
  HubOptions options() const {
    HubOptions options;
    options.endpoint = endpoint;
    options.cache = cache();
    options.pause = 0.01;
    options.stall = 3;
    options.contact = 10;  // machines that run tests may be busy
    return options;
  }
  fs::path cache() const { return root_ / "cache"; }

  std::string endpoint, content;

 private:
  Scratch root_;
  pid_t pid_ = -1;
};

}  // namespace dept
