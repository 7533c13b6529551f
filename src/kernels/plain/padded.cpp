#include "kernels/plain/padded.h"

#include <algorithm>

#include "kernels/origin.h"
#include "kernels/visible_keys.h"

namespace dept::kernels::plain {
namespace {

int64_t keys_of(const AttentionSpan& span) {
  return span.prefix_length + span.k_length;
}

int64_t key_row(const AttentionSpan& span, int64_t j) {
  return j < span.prefix_length ? span.prefix_begin + j : span.k_begin + j - span.prefix_length;
}

// What is known of each padded query.
struct Queries {
  std::vector<int64_t> rows, places, first_visible, end_visible, position;

  Queries(const std::vector<AttentionSpan>& spans, int64_t width, int64_t count, const AttentionOptions& options)
      : rows(spans.size() * width, count), places(count, static_cast<int64_t>(rows.size())), position(rows.size(), 0) {
    int64_t place = 0;
    for (const AttentionSpan& span : spans) {
      const int64_t offset = options.causal ? keys_of(span) - span.q_length : 0;
      for (int64_t i = 0; i < width; ++i, ++place) {
        const bool real = i < span.q_length;
        const VisibleKeys seen = real ? visible_keys(span, options, i) : VisibleKeys{0, keys_of(span)};
        first_visible.push_back(seen.first);
        end_visible.push_back(seen.end);
        if (!real) continue;
        rows[place] = span.q_begin + i;
        places[span.q_begin + i] = place;
        position[place] = offset + i;
      }
    }
  }
};

// Of each padded key, its row of k and v; -1: padding.
std::vector<int64_t> rows_of_keys(const std::vector<AttentionSpan>& spans, int64_t width) {
  std::vector<int64_t> rows;
  for (const AttentionSpan& span : spans)
    for (int64_t j = 0; j < width; ++j) rows.push_back(j < keys_of(span) ? key_row(span, j) : -1);
  return rows;
}

}  // namespace

Padded::Padded(const AttentionInputs& in, const std::vector<AttentionSpan>& list, const AttentionOptions& options)
    : spans(static_cast<int64_t>(list.size())) {
  for (const AttentionSpan& span : list) {
    queries = std::max(queries, span.q_length);
    keys = std::max(keys, keys_of(span));
  }
  const int64_t q_count = in.q.size(0), k_count = in.k.size(0);
  Upload upload;
  make(list, options, q_count, k_count, upload);
  const auto again = [q_count, k_count, origin = AttentionOrigin(list, options), width = queries, reach = keys,
                      causal = options.causal, window = options.window](const StepBatch& now, Upload& more) {
    AttentionOptions same;
    same.causal = causal;
    same.window = window;
    same.dropout = origin.dropout.p;
    same.streams = origin.streams(now);
    Padded other(width, reach);
    other.make(origin.spans(now), same, q_count, k_count, more);
  };
  upload.send(in.q.device(), again);
}

void Padded::make(const std::vector<AttentionSpan>& list, const AttentionOptions& options, int64_t q_count, int64_t k_count,
                  Upload& upload) {
  std::vector<int64_t> query_lengths, key_lengths, unbiased_lengths;
  std::vector<DropoutStream> drawn;
  for (const AttentionSpan& span : list) {
    query_lengths.push_back(span.q_length);
    key_lengths.push_back(keys_of(span));
    unbiased_lengths.push_back(span.unbiased);
    if (options.dropout > 0) drawn.push_back(options.streams.at(span.sequence));
  }
  const Queries q(list, queries, q_count, options);
  std::vector<int64_t> k = rows_of_keys(list, keys);
  key_sums.make(k, k_count, upload);
  std::replace(k.begin(), k.end(), int64_t{-1}, k_count);
  upload.add(q.rows, q_rows);
  upload.add(k, k_rows);
  upload.add(q.places, q_places);
  if (options.window > 0) upload.add(q.first_visible, first_visible);
  upload.add(q.end_visible, end_visible);
  upload.add(q.position, position);
  upload.add(query_lengths, q_length);
  upload.add(key_lengths, k_length);
  if (std::any_of(unbiased_lengths.begin(), unbiased_lengths.end(), [](int64_t length) { return length > 0; }))
    upload.add(unbiased_lengths, unbiased);
  streams.from(drawn, upload);
}

}  // namespace dept::kernels::plain
