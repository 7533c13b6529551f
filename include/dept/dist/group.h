// Ranks: processes that train one model together, joined over TCP by c10d's store and Gloo.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "dept/tensor/context.h"

namespace dept {

/// What a launcher tells each rank.
struct RankInfo {
  int64_t rank = 0, size = 1;
  int64_t local_rank = 0;      ///< among the ranks of this machine
  std::string master_address;  ///< where the store is
  uint16_t master_port = 0;
  bool launcher_has_store = false;  ///< else rank 0 starts it
  int64_t attempt = 0;              ///< how often the launcher has started the ranks again; keeps their meetings apart
};

/// From the variables that torchrun sets: RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT, TORCHELASTIC_USE_AGENT_STORE,
/// TORCHELASTIC_RESTART_COUNT. Without RANK and WORLD_SIZE there is one rank. Throws usage for a missing or malformed one.
RankInfo ranks_from_environment();

/// For a command that runs in one process: throws usage where a launcher (torchrun, mpirun, srun) has started several, each of
/// which would do all of the work, and for a size that is no number or is missing beside RANK.
void require_one_rank();

/// Meets the other ranks. Null for one rank. `timeout` bounds the meeting and each operation: when a rank is gone, or too late,
/// they throw io. GLOO_SOCKET_IFNAME names the network interface to use.
std::unique_ptr<Collective> join_group(const RankInfo& info, std::chrono::milliseconds timeout = std::chrono::minutes(10));

}  // namespace dept
