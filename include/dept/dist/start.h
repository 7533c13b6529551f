// Ranks on one machine without a launcher: the program starts itself.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace dept {

struct RanksEnd {
  int code = 0;     ///< 0, 4 where a signal ended a rank, else rank 0's exit code or the first that is not 0
  std::string why;  ///< for people, where a signal ended a rank
};

/// Starts `count` processes of this program with the same arguments, each with what ranks_from_environment reads, and waits for
/// the last one. They meet at a store in this process, on 127.0.0.1 and a free port. Rank 0 has its standard input, the others
/// none. `signal` is asked for a signal to pass on, 0 for none. When one ends badly and the others do not follow, they are
/// killed; when this process goes they get SIGTERM. Throws resource.
RanksEnd start_ranks(int64_t count, const std::vector<std::string>& arguments, const std::function<int()>& signal);

/// Whether start_ranks of this process's parent started it.
bool started_by_parent();

}  // namespace dept
