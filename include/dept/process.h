// What is global in a process: threads, freed memory, and where log lines go, which is nowhere until it is said here.
#pragma once

#include <filesystem>

namespace dept {

/// Sets the number of threads of LibTorch and ours, shares the CPUs with other processes, and keeps freed memory in the process
/// (page faults cost more than small products).
void configure_process(int threads);

namespace log {

/// Sends log lines to stderr: plain, or coloured when `colour`; on a terminal a line takes the place of a progress line.
void to_stderr(bool colour, bool terminal = false);
/// Sends lines, with time stamps, to a file as well (appending). Throws io.
void to_file(const std::filesystem::path& path);
/// Stops writing to the file of to_file.
void close_file();

}  // namespace log
}  // namespace dept
