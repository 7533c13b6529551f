// A progress line with count, rate, time left and a note (the loss). Drawn through a callback, so that the library never prints.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace dept {

/// Receives a rendered line; `last` ends it. The program draws it in place on a terminal and drops it in a log.
using ProgressSink = std::function<void(std::string_view line, bool last)>;

/// Where a progress line reads the time.
using ProgressClock = std::function<std::chrono::steady_clock::time_point()>;

enum class ProgressUnit { items, bytes };

class Progress {
 public:
  /// `start` counts what an earlier run had done. Without a sink set by set_sink it does nothing.
  Progress(std::string title, int64_t total, int64_t start = 0, ProgressUnit unit = ProgressUnit::items);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void advance(int64_t by = 1, std::string_view note = {});

  static void set_sink(ProgressSink sink);
  /// Null means std::chrono::steady_clock.
  static void set_clock(ProgressClock clock);

 private:
  std::string line() const;

  std::string title_;
  int64_t total_, start_, done_;
  ProgressUnit unit_;
  std::chrono::steady_clock::time_point began_, drawn_;
  std::string note_;
};

/// 1234567 -> "1.2 MB".
std::string format_bytes(double bytes);

/// 3725 s -> "1:02:05", 65 s -> "1:05".
std::string format_duration(double seconds);

}  // namespace dept
