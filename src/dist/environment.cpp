#include <charconv>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string_view>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/dist/group.h"

namespace dept {
namespace {

std::optional<std::string> variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr || *value == '\0' ? std::nullopt : std::optional<std::string>(value);
}

// An integer variable from `low` to `high`; `fallback` when it is unset.
int64_t integer(const char* name, int64_t low, int64_t high, std::optional<int64_t> fallback = std::nullopt,
                std::string_view launcher = "torchrun") {
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

// Where a launcher says how many processes it started.
struct Launcher {
  const char* name;
  const char* size;
  const char* inside;  // a variable that is set only in what the launcher started; null: `size` is
};
constexpr Launcher launchers[] = {{"torchrun", "WORLD_SIZE", nullptr},
                                  {"mpirun", "PMI_SIZE", nullptr},
                                  {"mpirun", "OMPI_COMM_WORLD_SIZE", nullptr},
                                  {"mpirun", "MV2_COMM_WORLD_SIZE", nullptr},
                                  {"srun", "SLURM_NTASKS", "SLURM_STEP_ID"}};

}  // namespace

void require_one_rank() {
  if (variable("RANK") && !variable("WORLD_SIZE")) fail(Code::usage, "WORLD_SIZE", "a number beside RANK", "nothing");
  for (const auto& [launcher, size, inside] : launchers) {
    if (!variable(size) || (inside != nullptr && !variable(inside))) continue;
    if (const int64_t count = integer(size, 1, 1 << 24, std::nullopt, launcher); count > 1)
      fail(Code::usage, size, str("1 process, as dept trains in one (start it without ", launcher, ", or unset the variable)"),
           str(count));
  }
}

RankInfo ranks_from_environment() {
  RankInfo info;
  if (!variable("RANK") && !variable("WORLD_SIZE")) return info;
  info.size = integer("WORLD_SIZE", 1, 1 << 16);
  info.rank = integer("RANK", 0, info.size - 1);
  info.local_rank = integer("LOCAL_RANK", 0, info.size - 1, info.rank);
  if (info.size == 1) return info;
  const std::optional<std::string> address = variable("MASTER_ADDR");
  if (!address) fail(Code::usage, "MASTER_ADDR", "the first rank's host name or address, as torchrun sets it", "nothing");
  info.master_address = *address;
  info.master_port = static_cast<uint16_t>(integer("MASTER_PORT", 1, std::numeric_limits<uint16_t>::max()));
  info.launcher_has_store = variable("TORCHELASTIC_USE_AGENT_STORE") == "True";
  info.attempt = integer("TORCHELASTIC_RESTART_COUNT", 0, 1 << 30, 0);
  return info;
}

}  // namespace dept
