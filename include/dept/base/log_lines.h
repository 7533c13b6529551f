// For the program's frame: what its lines on stderr look like.
#pragma once

#include <string>

namespace dept::log {

/// From here stderr gets warnings alone, each after `start`.
void only_warnings(const std::string& start);

}  // namespace dept::log
