#include "tasks/hub_split.h"

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {

void check_hub_split(const std::string& repository, const std::string& config, const std::string& split, std::string_view ours) {
  fail(Code::usage, str("--", ours, "_file"), str("a file with the rows of ", repository, " (", config, ", ", split, ")"),
       "none");
}

Table read_hub_split(const std::string& repository, const std::string& config, const std::string& split, std::string_view ours) {
  check_hub_split(repository, config, split, ours);
  return {};
}

}  // namespace dept
