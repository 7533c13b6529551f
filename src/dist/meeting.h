// Where ranks meet: keys of the store.
#pragma once

#include <cstdint>
#include <string>

#include "dept/base/text.h"

namespace dept {

/// In front of all keys of the ranks that the launcher started this time.
inline std::string meeting_prefix(int64_t attempt) {
  return str("dept/", attempt);
}

/// Who does not come: whoever waits stops waiting.
inline constexpr const char* missing_key = "missing";

}  // namespace dept
