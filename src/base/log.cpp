#include "dept/base/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <set>
#include <string>

#include "dept/base/error.h"

namespace dept::log {
namespace {

spdlog::sink_ptr file_sink, stderr_sink;
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
  if (stderr_sink) stderr_sink->set_level(mute ? spdlog::level::off : spdlog::level::trace);
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

void to_file(const fs::path& path) {
  close_file();
  try {
    file_sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path.string());
  } catch (const spdlog::spdlog_ex& error) {
    fail(Code::io, path.string(), "a writable log file", error.what());
  }
  file_sink->set_pattern("%Y-%m-%d %H:%M:%S %l %v");
  logger().sinks().push_back(file_sink);
}

void close_file() {
  if (file_sink == nullptr) return;
  std::erase(logger().sinks(), file_sink);
  file_sink.reset();
}

Muted::~Muted() {
  close_file();
  mute_stderr(false);
}

}  // namespace dept::log
