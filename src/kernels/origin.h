// What a list was made of: small values from which a recorded step makes it again of another batch (dept/tensor/tables.h).
#pragma once

#include <vector>

#include "dept/kernels/attention.h"
#include "dept/kernels/dropout.h"
#include "dept/tensor/tables.h"

namespace dept::kernels {

/// Of a dropout, or of its streams alone.
struct DropoutOrigin {
  double p = 0;
  BatchPart part = BatchPart::none;
  uint32_t layer_site = 0;

  explicit DropoutOrigin(const Dropout& dropout) : DropoutOrigin(dropout.p, dropout.part, dropout.streams) {}
  DropoutOrigin(double p, BatchPart part, const std::vector<DropoutStream>& streams)
      : p(p), part(part), layer_site(p > 0 && !streams.empty() ? streams.front().layer_site : 0) {}

  /// The same of the batch of now.
  Dropout of(const StepBatch& now) const {
    if (p <= 0) return {};
    return {now.call, now.of(part), p, DropoutStream::layer_of(layer_site), DropoutStream::site_of(layer_site)};
  }
};

/// Of an attention's spans and its dropout.
struct AttentionOrigin {
  BatchPart queries = BatchPart::none, keys = BatchPart::none;
  DropoutOrigin dropout;

  AttentionOrigin(const std::vector<AttentionSpan>& spans, const AttentionOptions& options)
      : queries(spans.empty() ? BatchPart::none : spans.front().queries),
        keys(spans.empty() ? BatchPart::none : spans.front().keys),
        dropout(options.dropout, queries, options.streams) {}

  /// The same of the batch of now.
  std::vector<AttentionSpan> spans(const StepBatch& now) const {
    return queries == keys ? self_attention_spans(now.of(queries)) : cross_attention_spans(now.of(queries), now.of(keys));
  }
  std::vector<DropoutStream> streams(const StepBatch& now) const { return dropout.of(now).streams; }
};

}  // namespace dept::kernels
