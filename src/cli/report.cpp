#include "dept/report/report.h"

#include "cli/command.h"
#include "cli/frame.h"
#include "cli/lines.h"
#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr Usage report_usage{
    "Usage: dept report FOLDER... [--output FILE]\n"
    "One HTML page on the folder of a run or a sweep, or on several side by side: results, curves, tables, examples. Nothing in "
    "it "
    "is\nfetched from anywhere (docs/report.md).\n",
    false, 1000,
    "  dept report runs/quickstart                              # runs/quickstart/report.html, as dept train writes it\n"
    "  dept report runs/seed-1 runs/seed-2 --output seeds.html\n"};

}  // namespace

int run_report(const std::vector<std::string>& arguments) {
  std::string output;
  OptionSet set;
  set.section("Report");
  set.add("output", output, "the page's file (default, of one folder: report.html in it); -: stdout");
  const auto given = read_command_line(set, arguments, report_usage);
  if (!given) return 0;
  const std::vector<fs::path> folders(given->begin(), given->end());
  if (folders.empty()) fail(Code::usage, "dept report", "the folder of a run or a sweep", "none");
  if (folders.size() > 1 && output.empty()) fail(Code::usage, "--output", "a file for the page on several folders", "nothing");
  if (output.empty()) output = (folders.front() / "report.html").string();
  const std::string page = report_page(folders);
  if (output == "-") return write_stdout(page), 0;
  check_output_file(output);
  write_atomic(output, page);
  log::info(str("the page is ", output));
  return 0;
}

}  // namespace dept
