// A split of a data set on the hub.
#pragma once

#include <string>
#include <string_view>

#include "dept/data/table.h"

namespace dept {

/// Whether it can be had, before anything long begins. `ours` is the split's name here, for the message. Throws io.
void check_hub_split(const std::string& repository, const std::string& config, const std::string& split, std::string_view ours);

/// Its rows. Throws io or bad_input.
Table read_hub_split(const std::string& repository, const std::string& config, const std::string& split, std::string_view ours);

}  // namespace dept
