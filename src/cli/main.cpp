#include <torch/headeronly/version.h>

#include <cstdio>
#include <cstdlib>

#include "cli/command.h"
#include "cli/frame.h"
#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

std::string overview() {
  std::string out =
      "Usage: dept COMMAND [--flags]\nTrains, evaluates and uses decomposed prompts (DePT) for frozen language models.\n\n";
  for (const Command& command : commands()) {
    std::string name(command.name);
    name.resize(12, ' ');
    out += str("  dept ", name, command.summary, "\n");
  }
  return out + "\n  dept COMMAND --help lists a command's flags; dept --version\n";
}

int dispatch(const std::vector<std::string>& arguments) {
  const std::string name = arguments.empty() ? "" : arguments[0];
  if (name == "--help" || name == "-h") return write_stdout(overview()), 0;
  if (name == "--version") return write_stdout(str("dept ", DEPT_VERSION, " (LibTorch ", TORCH_VERSION, ")\n")), 0;
  std::vector<std::string> names;
  for (const Command& command : commands()) {
    if (command.name == name) return command.run({arguments.begin() + 1, arguments.end()});
    names.emplace_back(command.name);
  }
  const std::string nearest = nearest_name(name, names);
  fail(Code::usage, "command line",
       str("a command as dept --help lists them", nearest.empty() ? "" : " (the nearest is " + nearest + ")"),
       name.empty() ? "none" : quote(name));
}

}  // namespace
}  // namespace dept

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + (argc > 0), argv + argc);
  const int code = dept::run_guarded([&] {
    dept::set_up_streams();
    return dept::dispatch(arguments);
  });
  std::fflush(nullptr);
  std::_Exit(code);  // taking LibTorch's tables of operators apart takes a quarter of a short command's time
}
