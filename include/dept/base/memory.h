// What of the machine's memory this process has and may have, in bytes.
#pragma once

#include <string_view>

namespace dept {

/// What /proc/meminfo gives for a field such as MemTotal; 0 when it has none.
double memory_info(std::string_view field);

/// MemAvailable, or what the limit of this process's cgroup (of version 2) leaves where that is less.
double available_memory();

/// This process's pages: now, and the most that there have been.
double resident_memory();
double peak_resident_memory();

}  // namespace dept
