#include "kernels/plain/padded.h"

#include <algorithm>

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
  std::vector<int64_t> rows, places, visible, position;

  Queries(const std::vector<AttentionSpan>& spans, int64_t width, int64_t count, bool causal)
      : rows(spans.size() * width, count), places(count, static_cast<int64_t>(rows.size())), position(rows.size(), 0) {
    int64_t place = 0;
    for (const AttentionSpan& span : spans) {
      const int64_t offset = causal ? keys_of(span) - span.q_length : 0;
      for (int64_t i = 0; i < width; ++i, ++place) {
        const bool real = i < span.q_length;
        visible.push_back(causal && real ? offset + i + 1 : keys_of(span));
        if (!real) continue;
        rows[place] = span.q_begin + i;
        places[span.q_begin + i] = place;
        position[place] = offset + i;
      }
    }
  }
};

struct Keys {
  std::vector<int64_t> rows, places, shared_rows, shared_places;

  Keys(const std::vector<AttentionSpan>& spans, int64_t width, int64_t count)
      : rows(spans.size() * width, count), places(count, none()) {
    std::vector<std::vector<int64_t>> further(count);
    for (size_t s = 0; s < spans.size(); ++s)
      for (int64_t j = 0; j < keys_of(spans[s]); ++j) {
        const int64_t row = key_row(spans[s], j), place = static_cast<int64_t>(s) * width + j;
        rows[place] = row;
        if (places[row] == none())
          places[row] = place;
        else
          further[row].push_back(place);
      }
    share(further);
  }

 private:
  int64_t none() const { return static_cast<int64_t>(rows.size()); }

  void share(const std::vector<std::vector<int64_t>>& further) {
    size_t most = 0;
    for (const auto& list : further) most = std::max(most, list.size());
    for (size_t row = 0; row < further.size(); ++row) {
      if (further[row].empty()) continue;
      shared_rows.push_back(static_cast<int64_t>(row));
      shared_places.push_back(places[row]);
      shared_places.insert(shared_places.end(), further[row].begin(), further[row].end());
      shared_places.resize(shared_rows.size() * (most + 1), none());
    }
  }
};

}  // namespace

Padded::Padded(const AttentionInputs& in, const std::vector<AttentionSpan>& list, const AttentionOptions& options)
    : spans(static_cast<int64_t>(list.size())) {
  std::vector<int64_t> query_lengths, key_lengths;
  std::vector<DropoutStream> drawn;
  for (const AttentionSpan& span : list) {
    query_lengths.push_back(span.q_length);
    key_lengths.push_back(keys_of(span));
    queries = std::max(queries, span.q_length);
    keys = std::max(keys, keys_of(span));
    if (options.dropout > 0) drawn.push_back(options.streams.at(span.sequence));
  }
  const Queries q(list, queries, in.q.size(0), options.causal);
  const Keys k(list, keys, in.k.size(0));
  Upload upload;
  upload.add(q.rows, q_rows);
  upload.add(k.rows, k_rows);
  upload.add(q.places, q_places);
  upload.add(k.places, k_places);
  upload.add(k.shared_rows, shared_rows);
  upload.add(k.shared_places, shared_places);
  upload.add(q.visible, visible);
  upload.add(q.position, position);
  upload.add(query_lengths, q_length);
  upload.add(key_lengths, k_length);
  streams.from(drawn, upload);
  upload.send(in.q.device());
}

}  // namespace dept::kernels::plain
