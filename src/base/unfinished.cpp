#include "dept/base/unfinished.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <climits>

namespace dept {
namespace {

enum State { vacant, changing, named, removing };

// Fixed memory and atomic states: a handler that runs in the middle of anything finds whole names alone.
struct Slot {
  std::atomic<int> state{vacant};
  std::array<char, PATH_MAX> path{};

  bool change(int from, int to) { return state.compare_exchange_strong(from, to); }
};
std::array<Slot, 16> slots;

std::string whole_name(const fs::path& path) {  // the working folder may be another one later
  std::error_code error;
  return fs::absolute(path, error).string();
}

}  // namespace

void note_unfinished(const fs::path& path) {
  const std::string name = whole_name(path);
  if (name.empty() || name.size() >= PATH_MAX) return;
  for (Slot& slot : slots) {
    if (!slot.change(vacant, changing)) continue;
    slot.path[name.copy(slot.path.data(), name.size())] = '\0';
    slot.state = named;
    return;
  }
}

void forget_unfinished(const fs::path& path) {
  const std::string name = whole_name(path);
  for (Slot& slot : slots) {
    if (!slot.change(named, changing)) continue;
    const bool found = name == slot.path.data();
    slot.state = found ? vacant : named;
    if (found) return;
  }
}

void remove_unfinished() {
  for (Slot& slot : slots)
    if (slot.change(named, removing)) ::unlink(slot.path.data());
}

}  // namespace dept
