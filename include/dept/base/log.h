// Logging. The library logs; only the program decides where lines go (nowhere until it says).
#pragma once

#include <string_view>

#include "dept/base/file.h"
#include "dept/process.h"

namespace dept::log {

void info(std::string_view message);
void warn(std::string_view message);

/// From here stderr gets each warning once and nothing else, or all again; a file of to_file gets all.
void mute_stderr(bool mute);
/// mute_stderr for as long as it lives; it closes a log file that is open then.
struct Muted {
  Muted() { mute_stderr(true); }
  ~Muted();
};

}  // namespace dept::log
