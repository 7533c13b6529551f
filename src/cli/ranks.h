// One command as several ranks: started by a launcher or by the command itself.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/lines.h"
#include "dept/dist/group.h"
#include "dept/dist/rank_options.h"
#include "dept/dist/ranks.h"
#include "dept/train/options.h"

namespace dept {

/// Runs `work`, which returns the exit code, as the rank that this process is; its group is null for one rank. Under --ranks it
/// starts the ranks and minds them instead. Settles how many threads a rank has. Throws usage for --ranks within a launcher, and
/// io when a rank is gone.
int run_in_ranks(const RankOptions& options, ModelOptions& model, std::string_view command,
                 const std::vector<std::string>& arguments, const std::function<int(RankGroup*)>& work);

/// Rank 0 reads the input of all.
SharedReading read_together(Collective* group);

/// Writes the lines of all ranks, by rank. The writer is rank 0's.
void write_together(LineWriter& writer, const std::vector<std::string>& mine, Collective* group);

/// 128 + the signal that any rank was interrupted by.
int interrupted_exit_code(Collective* group);

}  // namespace dept
