// Splits a range of independent items over a few threads: reading weights happens before any thread pool is busy.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstddef>
#include <thread>
#include <vector>

namespace dept {

/// Calls body(begin, end) for parts of [0, count), none smaller than `grain` (but for the whole), on at most torch's thread
/// count.
template <class Body>
void parallel_ranges(size_t count, size_t grain, const Body& body) {
  const auto threads = static_cast<size_t>(std::max(1, at::get_num_threads()));
  const size_t parts = std::clamp<size_t>(count / grain, 1, threads);
  std::vector<std::jthread> others;
  others.reserve(parts - 1);
  for (size_t part = 1; part < parts; ++part)
    others.emplace_back([&body, begin = count / parts * part, end = part + 1 == parts ? count : count / parts * (part + 1)] {
      body(begin, end);
    });
  body(size_t{0}, parts == 1 ? count : count / parts);
}

}  // namespace dept
