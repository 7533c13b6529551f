#include "dept/tensor/ragged.h"

#include <algorithm>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {

int64_t Ragged::max_length() const {
  int64_t longest = 0;
  for (int64_t b = 0; b < batch(); ++b) longest = std::max(longest, length(b));
  return longest;
}

void Ragged::append(int64_t length, int64_t example_index, int64_t config_index, int64_t prefix_sequence) {
  offsets.push_back(offsets.back() + length);
  example.push_back(example_index);
  config.push_back(config_index);
  prefix.push_back(prefix_sequence);
}

Ragged Ragged::some_tokens(const std::vector<int64_t>& tokens) const {
  Ragged some;
  int64_t b = 0, next = -1;  // sequence of the last one, and which token would go on with it
  for (const int64_t n : tokens) {
    if (n == next && n < offsets[b + 1]) {
      ++some.offsets.back();
    } else {
      while (n >= offsets.at(b + 1)) ++b;
      some.append(1, example[b], config[b]);
      some.skipped.push_back(n - offsets[b] + (skipped.empty() ? 0 : skipped[b]));
    }
    next = n + 1;
  }
  return some;
}

void Ragged::check() const {
  const auto require = [](bool good, std::string_view what, std::string_view received) {
    if (!good) fail(Code::bug, "Ragged", what, received);
  };
  require(!offsets.empty() && offsets.front() == 0 && std::is_sorted(offsets.begin(), offsets.end()), "offsets ascending from 0",
          "others");
  const size_t count = static_cast<size_t>(batch());
  require(config.size() == count && prefix.size() == count && example.size() == count, str(count, " entries a sequence vector"),
          str(config.size(), ", ", prefix.size(), ", ", example.size()));
  require(outside.empty() || outside.size() == count, str(count, " entries outside, or none"), str(outside.size()));
  require(skipped.empty() || skipped.size() == count, str(count, " entries skipped, or none"), str(skipped.size()));
  require(unbiased.empty() || unbiased.size() == count, str(count, " entries unbiased, or none"), str(unbiased.size()));
  for (size_t b = 0; b < count; ++b) require(prefix[b] < static_cast<int64_t>(b), "a prefix before its sequence", str(prefix[b]));
  for (const at::Tensor* tensor : {&position, &row}) {
    if (!tensor->defined() && tensor == &row) continue;
    require(tensor->defined() && tensor->is_cpu() && tensor->scalar_type() == at::kLong && tensor->dim() == 1 &&
                tensor->size(0) == tokens(),
            str("position and row on the CPU as int64 [", tokens(), "]"), "another tensor");
  }
}

}  // namespace dept
