// Which keys a query sees: the same for every backend.
#pragma once

#include <algorithm>

#include "dept/kernels/attention.h"

namespace dept::kernels {

/// Keys first .. end - 1 of a span, counted from its prefix on; at least one.
struct VisibleKeys {
  int64_t first, end;
};

/// What query i of a span sees.
inline VisibleKeys visible_keys(const AttentionSpan& span, const AttentionOptions& options, int64_t i) {
  const int64_t keys = span.prefix_length + span.k_length, place = (options.causal ? keys - span.q_length : 0) + i;
  VisibleKeys seen{0, options.causal ? place + 1 : keys};
  if (options.window == 0) return seen;
  if (!options.causal) seen.end = std::min(keys, place + options.window);
  const int64_t stands = span.outside ? place + 1 : place;
  seen.first = std::clamp<int64_t>(stands - options.window + 1, 0, seen.end - 1);
  return seen;
}

}  // namespace dept::kernels
