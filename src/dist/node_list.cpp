// Slurm's short forms: lists of hosts, and of tasks on each host.
#include <charconv>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/dist/launcher.h"

namespace dept {
namespace {

constexpr std::string_view digits = "0123456789";

[[noreturn]] void refuse_list(std::string_view list) {
  fail(Code::usage, "SLURM_STEP_NODELIST", "a list of hosts such as node[001-004,7]", quote(list));
}

// The first of "001-004,7", with its zeros.
std::string_view first_number(std::string_view numbers, std::string_view list) {
  const std::string_view first = numbers.substr(0, numbers.find_first_not_of(digits));
  const std::string_view rest = numbers.substr(first.size());
  if (first.empty() || !(rest.empty() || rest[0] == '-' || rest[0] == ',')) refuse_list(list);
  return first;
}

// A number from `text`'s beginning, which is taken away.
int64_t take_number(std::string_view& text, std::string_view whole) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0) fail(Code::usage, "SLURM_STEP_TASKS_PER_NODE", "counts such as 4(x2),1", quote(whole));
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return number;
}

bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

}  // namespace

std::string first_host(std::string_view list) {
  std::string host;
  std::string_view rest = list;
  while (!rest.empty() && rest[0] != ',') {
    if (!take(rest, "[")) {
      const size_t plain = std::min(rest.find_first_of(",[]"), rest.size());
      if (plain == 0) refuse_list(list);
      host += rest.substr(0, plain);
      rest.remove_prefix(plain);
      continue;
    }
    const size_t end = rest.find(']');
    if (end == std::string_view::npos) refuse_list(list);
    host += first_number(rest.substr(0, end), list);
    rest.remove_prefix(end + 1);
  }
  if (host.empty()) refuse_list(list);
  return host;
}

int64_t tasks_on_node(std::string_view list, int64_t node) {
  for (std::string_view rest = list; !rest.empty();) {
    const int64_t tasks = take_number(rest, list);
    int64_t hosts = 1;
    if (take(rest, "(x")) {
      hosts = take_number(rest, list);
      if (!take(rest, ")")) break;
    }
    if (node < hosts) return tasks;
    node -= hosts;
    if (!take(rest, ",")) break;
  }
  fail(Code::usage, "SLURM_STEP_TASKS_PER_NODE", "counts such as 4(x2),1 with one for each host", quote(list));
}

}  // namespace dept
