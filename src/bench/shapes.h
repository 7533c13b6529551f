// Architectures to measure with random weights.
#pragma once

#include <string>
#include <vector>

#include "dept/base/json.h"

namespace dept {

std::vector<std::string> shape_names();

/// The config.json of a shape. Throws usage for an unknown name.
Json shape_config(const std::string& name);

}  // namespace dept
