// Ranks: processes that train one model together, joined over TCP by c10d's store and Gloo.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "dept/base/error.h"
#include "dept/dist/launcher.h"
#include "dept/tensor/context.h"

namespace dept {

/// What a group asks of the program around it. Called from a thread of the group's own; each may be empty.
struct RankHooks {
  std::function<int()> signal;  ///< the signal that asks this process to end; 0: none
  std::function<void(int signal)>
      interrupted;                         ///< a signal of any rank, once the others hear of it: takes note, or ends the process
  std::function<void(const Error&)> lost;  ///< a rank is gone: ends the process. Without it group operations throw the error
};

/// The ranks of one run. Each hears of every other's end within seconds: of one that dies or fails, and of one that shows no life
/// for the timeout; a rank that works for a long time is none of these.
class RankGroup : public Collective {
 public:
  /// Among the ranks of this machine.
  virtual int64_t local_rank() const = 0;
  /// Steps of the training that are done, for what is said of a rank that is gone.
  virtual void at_step(int64_t step) = 0;
  /// Tells the others that this rank ends by an error, which theirs then names.
  virtual void fail(const Error& error) = 0;
  /// Waits for all others to come here too, and parts. Every rank that does its work to the end calls it.
  virtual void leave() = 0;
};

/// What one rank of each machine does first, so that the others find it done. A null group is one rank.
template <class Work>
void one_first(RankGroup* group, Work work) {
  const bool waits = group != nullptr && group->local_rank() != 0;
  if (waits) group->barrier();
  work();
  if (group != nullptr && !waits) group->barrier();
}

/// Meets the other ranks. Null for one rank. `timeout` bounds the meeting and how long a rank may show no life; then, or when a
/// rank is gone, operations throw io. GLOO_SOCKET_IFNAME names the network interface to use. The process has to ignore SIGPIPE:
/// Gloo writes to ranks that are gone, too.
std::unique_ptr<RankGroup> join_group(const RankInfo& info, std::chrono::milliseconds timeout = std::chrono::minutes(5),
                                      RankHooks hooks = {});

}  // namespace dept
