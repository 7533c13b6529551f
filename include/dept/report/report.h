// One self-contained HTML page on what runs came to: charts, tables, examples. Nothing in it is fetched from anywhere.
#pragma once

#include <string>
#include <vector>

#include "dept/base/file.h"

namespace dept {

/// The page on folders that `dept train` (run.json) or `dept sweep` (sweep.json) left, under 2 MB. It is a function of what their
/// files hold. Throws io for a folder that is not there, bad_input for one of neither kind or a file that is not as it was left.
std::string report_page(const std::vector<fs::path>& folders);

/// FOLDER/report.html.
void write_report(const fs::path& folder);

/// A command line that a shell takes apart into these words again.
std::string shell_line(const std::vector<std::string>& words);

}  // namespace dept
