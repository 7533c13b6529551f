#include "dept/base/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <set>
#include <string>

#include "dept/base/error.h"
#include "dept/base/log_file.h"
#include "dept/base/log_lines.h"

namespace dept::log {
namespace {

spdlog::sink_ptr stderr_sink;
spdlog::level::level_enum shown_level = spdlog::level::trace;  // on stderr, unless it is muted
bool muted = false;
std::set<std::string> warned;  // while muted

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = [] {
    auto made = std::make_shared<spdlog::logger>("dept");
    made->flush_on(spdlog::level::info);
    made->set_error_handler([](const std::string&) {});  // on a full disk what the run writes next says so
    return made;
  }();
  return *instance;
}

}  // namespace

void info(std::string_view message) {
  logger().info(spdlog::string_view_t(message.data(), message.size()));
}
void warn(std::string_view message) {
  const bool shown = muted && stderr_sink && warned.emplace(message).second;
  if (shown) stderr_sink->set_level(spdlog::level::trace);
  logger().warn(spdlog::string_view_t(message.data(), message.size()));
  if (shown) stderr_sink->set_level(spdlog::level::off);
}

void mute_stderr(bool mute) {
  muted = mute;
  if (stderr_sink) stderr_sink->set_level(mute ? spdlog::level::off : shown_level);
}

void to_stderr(bool colour, bool terminal) {
  spdlog::sink_ptr sink;
  if (colour) {
    sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
  } else {
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  }
  sink->set_pattern(terminal ? "\r\x1b[K%^%v%$" : "%v");
  stderr_sink = sink;
  logger().sinks().push_back(std::move(sink));
}

void only_warnings(const std::string& start) {
  if (!stderr_sink) return;
  stderr_sink->set_pattern(start + "%v");
  shown_level = spdlog::level::warn;
  stderr_sink->set_level(shown_level);
}

struct FileSink {
  spdlog::sink_ptr sink;  // null: closed
};

namespace {

const FileSink* in_use = nullptr;
FileSink opened;  // by to_file

FileSink open_file(const fs::path& path) {
  try {
    FileSink file{std::make_shared<spdlog::sinks::basic_file_sink_mt>(path.string())};
    file.sink->set_pattern("%Y-%m-%d %H:%M:%S %l %v");
    return file;
  } catch (const spdlog::spdlog_ex& error) {
    fail(Code::io, path.string(), "a writable log file", error.what());
  }
}

void use(const FileSink* next) {
  if (next == in_use) return;
  if (in_use != nullptr) std::erase(logger().sinks(), in_use->sink);
  if (next != nullptr && next->sink) logger().sinks().push_back(next->sink);
  in_use = next;
}

}  // namespace

File::File(const fs::path& path) : sink_(std::make_unique<FileSink>(open_file(path))) {}

File::~File() = default;

Using::Using(const File* file) : before_(in_use) {
  if (file != nullptr) use(file->sink_.get());
}

Using::~Using() {
  use(before_);
}

void to_file(const fs::path& path) {
  close_file();
  opened = open_file(path);
  use(&opened);
}

void close_file() {
  if (in_use == &opened) use(nullptr);
  opened = {};
}

Muted::~Muted() {
  close_file();
  mute_stderr(false);
}

}  // namespace dept::log
