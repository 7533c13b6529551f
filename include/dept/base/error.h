// How errors are thrown.
#pragma once

#include <string_view>

#include "dept/error.h"

namespace dept {

/// Throws Error with "[where] expected <expected>, received <received>".
[[noreturn]] void fail(Code code, std::string_view where, std::string_view expected, std::string_view received);

}  // namespace dept
