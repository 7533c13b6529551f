#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string_view>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/dist/launcher.h"

namespace dept {
namespace {

constexpr int64_t most_ranks = 1 << 16;

std::optional<std::string> variable(const char* name) {
  const char* value = name == nullptr ? nullptr : std::getenv(name);
  return value == nullptr || *value == '\0' ? std::nullopt : std::optional<std::string>(value);
}

// Where a launcher says what it started.
struct Launcher {
  const char* name;
  const char *rank, *size, *local_rank, *local_size;
  const char* inside;  // a variable that is set only in what the launcher started; null: rank and size are
};
constexpr Launcher launchers[] = {
    {"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", nullptr},
    {"mpirun", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS", nullptr},
    {"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE",
     nullptr},
    {"mpirun", "MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_LOCAL_SIZE", nullptr},
    {"srun", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", nullptr, "SLURM_STEP_ID"}};

const Launcher* launcher_of_this_process() {
  for (const Launcher& launcher : launchers)
    if (launcher.inside != nullptr ? variable(launcher.inside).has_value() : variable(launcher.rank) || variable(launcher.size))
      return &launcher;
  return nullptr;
}

// An integer variable from `low` to `high`; `fallback` when it is unset.
int64_t integer(const char* name, int64_t low, int64_t high, std::string_view launcher,
                std::optional<int64_t> fallback = std::nullopt) {
  const std::optional<std::string> text = variable(name);
  if (!text && fallback) return *fallback;
  const std::string expected = str("an integer from ", low, " to ", high, ", as ", launcher, " sets it");
  if (!text) fail(Code::usage, name, expected, "nothing");
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size() || value < low || value > high)
    fail(Code::usage, name, expected, quote(*text));
  return value;
}

bool in_slurm_step() {
  return variable("SLURM_STEP_ID").has_value();
}

bool is_loopback(std::string_view address) {
  return address == "localhost" || address == "::1" || address.starts_with("127.");
}

// Where the launcher does not tell: what Slurm says of this host, all ranks for an address that no other machine reaches, else
// one.
int64_t local_size_of(const Launcher& launcher, const RankInfo& info) {
  if (variable(launcher.local_size)) return integer(launcher.local_size, 1, info.size, launcher.name);
  const std::optional<std::string> tasks = variable("SLURM_STEP_TASKS_PER_NODE");
  if (in_slurm_step() && tasks) return tasks_on_node(*tasks, integer("SLURM_NODEID", 0, most_ranks, "srun", 0));
  return is_loopback(variable("MASTER_ADDR").value_or("")) ? info.size : 1;
}

// The same for all ranks of a job, and below the ports that the kernel gives out by itself.
uint16_t port_of_job() {
  std::string job;
  for (const char* name : {"SLURM_JOB_ID", "SLURM_STEP_ID", "PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid"})
    job += variable(name).value_or("") + "/";
  if (job == "////") job = str(::getppid());  // mpirun starts all ranks of a machine itself
  uint32_t hash = 2166136261U;                // FNV-1a
  for (const char byte : job) hash = (hash ^ static_cast<unsigned char>(byte)) * 16777619U;
  return static_cast<uint16_t>(20'000 + hash % 10'000);
}

void find_store(const Launcher& launcher, RankInfo& info) {
  constexpr int64_t most_port = std::numeric_limits<uint16_t>::max();
  const bool by_hand = &launcher == launchers;
  const std::optional<std::string> address = variable("MASTER_ADDR");
  if (address) {
    info.master_address = *address;
  } else if (!by_hand && in_slurm_step() && variable("SLURM_STEP_NODELIST")) {
    info.master_address = first_host(*variable("SLURM_STEP_NODELIST"));
  } else if (!by_hand && info.local_size == info.size) {
    info.master_address = "127.0.0.1";
  } else {
    fail(Code::usage, "MASTER_ADDR",
         by_hand ? "the first rank's host name or address, as torchrun sets it"
                 : str("the first rank's host name or address, as the ranks of ", launcher.name, " are on several hosts"),
         "nothing");
  }
  const bool needs_port = by_hand || variable("MASTER_PORT");
  info.master_port = needs_port ? static_cast<uint16_t>(integer("MASTER_PORT", 1, most_port, "torchrun")) : port_of_job();
}

}  // namespace

RankInfo ranks_from_environment() {
  RankInfo info;
  const Launcher* launcher = launcher_of_this_process();
  if (launcher == nullptr) return info;
  info.size = integer(launcher->size, 1, most_ranks, launcher->name);
  info.rank = integer(launcher->rank, 0, info.size - 1, launcher->name);
  if (info.size > 1 || !in_slurm_step()) info.launcher = launcher->name;  // a step of one task may be somebody's shell
  if (info.size == 1) return info;
  info.local_size = local_size_of(*launcher, info);
  const int64_t most_local = (variable(launcher->local_size) ? info.local_size : info.size) - 1;
  info.local_rank = integer(launcher->local_rank, 0, most_local, launcher->name, info.rank % info.local_size);
  find_store(*launcher, info);
  info.launcher_has_store = variable("TORCHELASTIC_USE_AGENT_STORE") == "True";
  info.attempt = integer("TORCHELASTIC_RESTART_COUNT", 0, 1 << 30, "torchrun", 0);
  return info;
}

}  // namespace dept
