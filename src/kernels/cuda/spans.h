// Attention spans as kernels read them, and the rows of keys with all spans that read them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "dept/kernels/attention.h"

namespace dept::kernels::cuda {

/// Rows of keys that the same spans read: [begin, begin + length), read by readers [first_reader, first_reader + readers).
struct KeyRows {
  int64_t begin, length;
  int64_t first_reader, readers;
};

/// A span that reads some rows of keys, of which the first is its key number `first`.
struct Reader {
  int64_t span, first;
};

/// Every row of keys that a span names, once. The gradient of a key is a sum over its readers, taken by one thread block in one
/// order.
struct KeyTable {
  std::vector<KeyRows> rows;
  std::vector<Reader> readers;

  explicit KeyTable(const std::vector<AttentionSpan>& spans) {
    std::vector<int64_t> cuts;
    each(spans, [&](int64_t, int64_t, int64_t begin, int64_t length) { cuts.insert(cuts.end(), {begin, begin + length}); });
    std::sort(cuts.begin(), cuts.end());
    cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
    std::vector<std::vector<Reader>> of_cut(cuts.size());
    each(spans, [&](int64_t span, int64_t first, int64_t begin, int64_t length) {
      for (auto cut = std::lower_bound(cuts.begin(), cuts.end(), begin); *cut < begin + length; ++cut)
        of_cut[cut - cuts.begin()].push_back({span, first + *cut - begin});
    });
    for (size_t c = 0; c + 1 < cuts.size(); ++c) {
      if (of_cut[c].empty()) continue;
      rows.push_back(
          {cuts[c], cuts[c + 1] - cuts[c], static_cast<int64_t>(readers.size()), static_cast<int64_t>(of_cut[c].size())});
      readers.insert(readers.end(), of_cut[c].begin(), of_cut[c].end());
    }
  }

  int64_t longest() const {
    int64_t most = 0;
    for (const KeyRows& some : rows) most = std::max(most, some.length);
    return most;
  }

 private:
  // Calls f(span, its first key there, first row, number of rows) for the one or two stretches of rows that each span reads.
  template <class F>
  static void each(const std::vector<AttentionSpan>& spans, F&& f) {
    for (size_t s = 0; s < spans.size(); ++s) {
      const AttentionSpan& span = spans[s];
      if (span.q_length == 0) continue;
      if (span.prefix_length > 0) f(static_cast<int64_t>(s), 0, span.prefix_begin, span.prefix_length);
      if (span.k_length > 0) f(static_cast<int64_t>(s), span.prefix_length, span.k_begin, span.k_length);
    }
  }
};

}  // namespace dept::kernels::cuda
