// What every command needs from the program around it: its flags, its streams, and a way to stop.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dept/base/error.h"
#include "dept/base/options.h"

namespace dept {

struct Usage {
  std::string_view text;           ///< first lines of --help: "Usage: dept ...", and what the command does
  bool recipe = false;             ///< the first positional argument is a .yaml or .json file of options
  size_t positionals = 0;          ///< how many others are taken
  std::string_view examples = "";  ///< last lines of --help
};

/// Reads flags and recipe into the options behind `set`. --help and --dump_config print on stdout; then nothing is returned and
/// the command is to end with 0. Else returns the positional arguments without the recipe. All mistakes become problems; without
/// any, flags that have no effect are named on stderr.
std::optional<std::vector<std::string>> read_command_line(OptionSet& set, const std::vector<std::string>& arguments,
                                                          const Usage& usage, Problems& problems);
/// The same, with all problems thrown at the end.
std::optional<std::vector<std::string>> read_command_line(OptionSet& set, const std::vector<std::string>& arguments,
                                                          const Usage& usage);

/// From here read_command_line reads nothing: it shows `visit` what it would read and returns nothing, as after --help. Without
/// a function it reads again.
void visit_command_lines(std::function<void(const OptionSet&, const Usage&)> visit);

/// Writes results. Throws io when the reader is gone or the disk is full.
void write_stdout(std::string_view bytes);

/// Runs a command; what it throws becomes one line on stderr and the exit code.
int run_guarded(const std::function<int()>& command);

/// Log lines and progress on stderr; broken pipes and files over the size limit as errors; SIGINT (Ctrl-C), SIGTERM and SIGHUP
/// end the program in one line, with 128 + the signal's number and no file half written.
void set_up_streams();

/// This process is one of several ranks: those above 0 show warnings and errors alone, their rank in front.
void speak_as_rank(int64_t rank);
/// From here a signal is only noted, for the ranks' group to pass on (signal_received, interrupt_with_ranks); or no longer.
void tell_other_ranks(bool tells);
/// The number of the first signal, 0 for none.
int signal_received();
/// A signal of any rank that all of them know by now: ends the program as set_up_streams has it, or sets interrupted().
void interrupt_with_ranks(int signal);
/// Ends the program at once, in one line, from whatever thread.
[[noreturn]] void end_with(const Error& error);

/// From here the first of these signals only sets interrupted(); the second still ends the program.
void finish_on_interrupt();
bool interrupted();
/// 128 + the signal's number, once interrupted.
int interrupted_exit_code();

}  // namespace dept
