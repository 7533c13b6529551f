#include "cli/ranks.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <new>

#include "cli/frame.h"
#include "dept/base/cpus.h"
#include "dept/base/log.h"
#include "dept/base/text.h"
#include "dept/dist/group.h"
#include "dept/dist/start.h"

namespace dept {
namespace {

using Clock = std::chrono::steady_clock;

// The ranks of --ranks end with the process that started them: its end is a SIGTERM, and a hard end if that does not help.
int signal_or_end() {
  static const bool has_parent = started_by_parent();
  static const pid_t parent = ::getppid();
  static std::optional<Clock::time_point> alone_since;
  if (has_parent && ::getppid() != parent) {
    if (!alone_since) alone_since = Clock::now();
    if (Clock::now() - *alone_since > std::chrono::seconds(10))
      end_with({Code::io, "[ranks] expected the process that started them, received its end"});
    return signal_received() != 0 ? signal_received() : SIGTERM;
  }
  return signal_received();
}

int start_and_mind(int64_t ranks, std::string_view command, const std::vector<std::string>& arguments) {
  std::vector<std::string> words = {"dept", std::string(command)};
  words.insert(words.end(), arguments.begin(), arguments.end());
  finish_on_interrupt();
  const RanksEnd end = start_ranks(ranks, words, signal_received);
  if (!end.why.empty()) throw Error(static_cast<Code>(end.code), end.why);
  return end.code;
}

int work_as_rank(const RankInfo& info, const RankOptions& options, ModelOptions& model,
                 const std::function<int(RankGroup*)>& work) {
  speak_as_rank(info.rank);
  if (model.threads == 0) model.threads = threads_of_rank(static_cast<int>(info.local_size));
  const auto timeout = std::chrono::milliseconds(static_cast<int64_t>(options.rank_timeout * 1000));
  const std::unique_ptr<RankGroup> group =
      join_group(info, timeout, {signal_or_end, interrupt_with_ranks, [](const Error& error) { end_with(error); }});
  tell_other_ranks(true);
  log::info(str(info.size, " ranks by ", started_by_parent() ? "--ranks" : info.launcher, ", ", info.local_size,
                " on this machine, ", model.threads, model.threads == 1 ? " thread each" : " threads each"));
  try {
    const int code = work(group.get());
    group->leave();
    tell_other_ranks(false);
    return code;
  } catch (const Error& error) {
    group->fail(error);
    throw;
  } catch (const std::bad_alloc&) {
    group->fail({Code::resource, "[memory] expected enough of it, received none"});
    throw;
  } catch (const std::exception& error) {
    group->fail({Code::bug, error.what()});
    throw;
  }
}

}  // namespace

int run_in_ranks(const RankOptions& options, ModelOptions& model, std::string_view command,
                 const std::vector<std::string>& arguments, const std::function<int(RankGroup*)>& work) {
  const RankInfo info = ranks_from_environment();
  if (options.ranks && !started_by_parent()) {
    if (!info.launcher.empty())
      fail(Code::usage, "--ranks", str("no such flag within ", info.launcher, ", which has started ", info.size, " ranks"),
           str(*options.ranks));
    if (*options.ranks > 1) return start_and_mind(*options.ranks, command, arguments);
  }
  if (info.size == 1) return work(nullptr);
  return work_as_rank(info, options, model, work);
}

SharedReading read_together(Collective* group) {
  if (group == nullptr) return {};
  return {is_first(group), [group](const std::string& block) { return from_first(group, block); }};
}

void write_together(LineWriter& writer, const std::vector<std::string>& mine, Collective* group) {
  for (const std::string& lines : gather(group, join(mine, "\n")))
    if (!lines.empty()) writer.write_text(lines);
}

int interrupted_exit_code(Collective* group) {
  if (group != nullptr) {
    int signal = 0;
    for (const std::string& each : gather(group, str(signal_received()))) signal = std::max(signal, std::stoi(each));
    if (signal_received() == 0) interrupt_with_ranks(signal);
  }
  return interrupted_exit_code();
}

}  // namespace dept
