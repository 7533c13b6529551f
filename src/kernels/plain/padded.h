// A batch of attention spans laid out for padded products.
#pragma once

#include "dept/kernels/attention.h"
#include "kernels/plain/gathered_sums.h"
#include "kernels/plain/philox.h"

namespace dept::kernels::plain {

/// S spans of up to `queries` rows of q, padded to as many, and up to `keys` rows of k and v. Rows are found and given back by
/// lists made on the host: every sum is taken in one order, on every device.
struct Padded {
  int64_t spans = 0, queries = 0, keys = 0;
  at::Tensor q_rows;              ///< [S * queries] row of q, or Nq: padding
  at::Tensor k_rows;              ///< [S * keys] row of k and v, or Nk: padding
  at::Tensor q_places;            ///< [Nq] place among the padded queries, or S * queries: in no span
  GatheredSums key_sums;          ///< [S * keys, ...] to [Nk, ...], over all places of a row of k and v
  at::Tensor first_visible;       ///< [S * queries] the first key that is seen; undefined without a window
  at::Tensor end_visible;         ///< [S * queries] one behind the last
  at::Tensor position;            ///< [S * queries] where the query stands among the keys, for the bias
  at::Tensor q_length, k_length;  ///< [S]
  at::Tensor unbiased;            ///< [S] AttentionSpan::unbiased; undefined where it is 0 for all
  Streams streams;                ///< [S] of the dropout

  Padded(const AttentionInputs& in, const std::vector<AttentionSpan>& list, const AttentionOptions& options);

 private:
  // Of other spans, padded as wide.
  Padded(int64_t queries, int64_t keys) : queries(queries), keys(keys) {}
  // The lists of spans whose queries and keys find room. `upload` keeps where this is until it is sent.
  void make(const std::vector<AttentionSpan>& list, const AttentionOptions& options, int64_t q_count, int64_t k_count,
            Upload& upload);
};

}  // namespace dept::kernels::plain
