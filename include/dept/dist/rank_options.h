// The options of commands that run as several ranks.
#pragma once

#include <cstdint>
#include <optional>

#include "dept/base/options.h"

namespace dept {

struct RankOptions {
  std::optional<int64_t> ranks;
  double rank_timeout = 300;
};
void describe(RankOptions& options, OptionSet& set);

}  // namespace dept
