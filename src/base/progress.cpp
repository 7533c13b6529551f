#include "dept/base/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>

#include "dept/base/text.h"

namespace dept {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto least_interval = std::chrono::milliseconds(100);
constexpr int bar_width = 20;

ProgressSink& sink() {
  static ProgressSink instance;
  return instance;
}

ProgressClock& clock() {
  static ProgressClock instance;
  return instance;
}

Clock::time_point now() {
  return clock() ? clock()() : Clock::now();
}

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(now() - begin).count();
}

std::string format_count(int64_t count, ProgressUnit unit) {
  return unit == ProgressUnit::bytes ? format_bytes(static_cast<double>(count)) : str(count);
}

std::string format_rate(double per_second, ProgressUnit unit) {
  if (unit == ProgressUnit::bytes) return format_bytes(per_second) + "/s";
  char text[32];
  if (per_second >= 1 || per_second <= 0) {
    std::snprintf(text, sizeof text, "%.1f/s", per_second);
  } else {
    std::snprintf(text, sizeof text, "%.2f s each", 1 / per_second);
  }
  return text;
}

std::string bar(double share) {
  const int filled = static_cast<int>(share * bar_width);
  return str('[', std::string(static_cast<size_t>(filled), '='), std::string(static_cast<size_t>(bar_width - filled), ' '), ']');
}

}  // namespace

Progress::Progress(std::string title, int64_t total, int64_t start, ProgressUnit unit)
    : title_(std::move(title)), total_(total), start_(start), done_(start), unit_(unit), began_(now()), drawn_(began_) {}

Progress::~Progress() {
  if (!sink()) return;
  try {
    sink()(line(), true);
  } catch (...) {  // a broken terminal must not end a run
  }
}

void Progress::advance(int64_t by, std::string_view note) {
  done_ += by;
  if (!note.empty()) note_ = note;
  if (!sink()) return;
  const Clock::time_point time = now();
  if (time - drawn_ < least_interval) return;
  drawn_ = time;
  sink()(line(), false);
}

std::string Progress::line() const {
  const double elapsed = seconds_since(began_);
  const double rate = elapsed > 0 ? static_cast<double>(done_ - start_) / elapsed : 0;
  std::string out = str(title_, " ", format_count(done_, unit_));
  if (total_ > 0) {
    const double share = std::clamp(static_cast<double>(done_) / static_cast<double>(total_), 0.0, 1.0);
    out += str("/", format_count(total_, unit_), " ", bar(share), " ", static_cast<int>(share * 100), "%");
  }
  if (rate > 0) out += str("  ", format_rate(rate, unit_));
  if (rate > 0 && total_ > done_) out += str("  ", format_duration(static_cast<double>(total_ - done_) / rate), " left");
  if (total_ <= done_) out += str("  ", format_duration(elapsed));
  if (!note_.empty()) out += "  " + note_;
  return out;
}

void Progress::set_sink(ProgressSink new_sink) {
  sink() = std::move(new_sink);
}

void Progress::set_clock(ProgressClock new_clock) {
  clock() = std::move(new_clock);
}

std::string format_bytes(double bytes) {
  static constexpr const char* units[] = {"B", "kB", "MB", "GB", "TB"};
  size_t unit = 0;
  for (; bytes >= 999.95 && unit + 1 < std::size(units); ++unit) bytes /= 1000;
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
  return text;
}

std::string format_duration(double seconds) {
  const auto whole = static_cast<int64_t>(std::llround(std::clamp(seconds, 0.0, 1e12)));
  char text[48];
  if (whole >= 3600) {
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", static_cast<long long>(whole / 3600),
                  static_cast<long long>(whole / 60 % 60), static_cast<long long>(whole % 60));
  } else {
    std::snprintf(text, sizeof text, "%lld:%02lld", static_cast<long long>(whole / 60), static_cast<long long>(whole % 60));
  }
  return text;
}

}  // namespace dept
