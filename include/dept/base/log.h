// Logging. The library logs; only the program decides where lines go (nowhere until it says).
#pragma once

#include <string_view>

#include "dept/base/file.h"

namespace dept::log {

void info(std::string_view message);
void warn(std::string_view message);

/// Sends lines to stderr: plain, or coloured when `colour`; on a terminal a line takes the place of a progress line.
void to_stderr(bool colour, bool terminal = false);
/// From here stderr gets each warning once and nothing else, or all again; a file of to_file gets all.
void mute_stderr(bool mute);
/// mute_stderr for as long as it lives; it closes a log file that is open then.
struct Muted {
  Muted() { mute_stderr(true); }
  ~Muted();
};
/// Sends lines, with time stamps, to a file as well (appending). Throws io.
void to_file(const fs::path& path);
/// Stops writing to the file of to_file.
void close_file();

}  // namespace dept::log
