// What a launcher (torchrun, srun, mpirun, dept --ranks) tells each of the processes that it starts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dept {

struct RankInfo {
  std::string launcher;  ///< "torchrun", "mpirun" or "srun"; empty: none started this process
  int64_t rank = 0, size = 1;
  int64_t local_rank = 0, local_size = 1;  ///< among the ranks of this machine, as far as the launcher tells
  std::string master_address;              ///< where the store is
  uint16_t master_port = 0;
  bool launcher_has_store = false;  ///< else rank 0 starts it
  int64_t attempt = 0;              ///< how often the launcher has started the ranks again; keeps their meetings apart
};

/// From the variables of the first launcher that set any, in this order:
///   RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE               torchrun, or by hand; these need MASTER_ADDR and MASTER_PORT
///   PMI_RANK, PMI_SIZE                                           mpirun
///   OMPI_COMM_WORLD_RANK, _SIZE, _LOCAL_RANK, _LOCAL_SIZE        mpirun
///   MV2_COMM_WORLD_RANK, _SIZE, _LOCAL_RANK, _LOCAL_SIZE         mpirun
///   SLURM_PROCID, SLURM_NTASKS, SLURM_LOCALID                    srun: within a step (SLURM_STEP_ID) only
/// Where no MASTER_ADDR is set the store is on the first host of SLURM_STEP_NODELIST, or on this machine when all ranks are here;
/// its port comes from the job's id. Without any of these there is one rank. Throws usage for half a set, values that are no
/// numbers, a rank that is not below the size, and several hosts without MASTER_ADDR.
RankInfo ranks_from_environment();

/// The first host of a Slurm node list: "node[003-004,7],gpu1" -> "node003". Throws usage for what is none.
std::string first_host(std::string_view node_list);

/// How many tasks Slurm runs on its `node`-th host: ("4(x2),1", 2) -> 1. Throws usage for what is no such list.
int64_t tasks_on_node(std::string_view tasks_per_node, int64_t node);

}  // namespace dept
