#include <algorithm>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/models/backbone.h"

namespace dept {

void Stream::want(const std::vector<int64_t>& asked) {
  wanted.clear();
  if (!embeds.is_cpu()) return;
  std::vector<bool> is_wanted(static_cast<size_t>(tokens.tokens()));
  for (const int64_t n : asked) {
    if (n < 0 || n >= tokens.tokens()) fail(Code::bug, "Stream", str("wanted tokens below ", tokens.tokens()), str(n));
    is_wanted[static_cast<size_t>(n)] = true;
  }
  int64_t count = std::count(is_wanted.begin(), is_wanted.end(), true);
  for (size_t n = 0; n < is_wanted.size() && count < fewest_rows; ++n) {
    count += !is_wanted[n];
    is_wanted[n] = true;
  }
  if (count == tokens.tokens()) return;
  for (size_t n = 0; n < is_wanted.size(); ++n)
    if (is_wanted[n]) wanted.push_back(static_cast<int64_t>(n));
}

}  // namespace dept
