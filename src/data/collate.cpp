#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/data/batch.h"

namespace dept {
namespace {

at::Tensor to_tensor(const std::vector<int64_t>& values) {
  at::Tensor tensor = at::empty({static_cast<int64_t>(values.size())}, at::kLong);
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<int64_t>());
  return tensor;
}

// One side of a batch while it grows.
struct Side {
  Ragged tokens;
  std::vector<int64_t> ids, position, row;
  std::vector<int64_t> visual_token, visual_place;

  void begin(int64_t length, int64_t example, int64_t first_position = 0) {
    tokens.append(length, example);
    at = first_position;
  }
  // A sequence of one token that sees what stands in front of it alone.
  void add_outside(int64_t id, int64_t example, int64_t its_place) {
    begin(1, example, its_place);
    add(id, its_place);
    tokens.outside.resize(tokens.batch());
    tokens.outside.back() = true;
  }
  void add(int64_t id, int64_t its_row) {
    ids.push_back(id);
    position.push_back(at++);
    row.push_back(its_row);
  }
  void add_visual(int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      visual_token.push_back(static_cast<int64_t>(ids.size()));
      visual_place.push_back(i);
      add(0, -1);
    }
  }
  // Those of the sequence at hand stand at its end.
  void leave_out_of_bias(int64_t count) {
    if (count == 0 && tokens.unbiased.empty()) return;
    tokens.unbiased.resize(tokens.batch());
    tokens.unbiased.back() = count;
  }
  void finish(VisualTokens& visual) const {
    if (visual_token.empty()) return;
    visual.token = to_tensor(visual_token);
    visual.place = to_tensor(visual_place);
  }
  void finish(Ragged& out, at::Tensor& out_ids) {
    if (!tokens.outside.empty()) tokens.outside.resize(tokens.batch());
    out = std::move(tokens);
    out.position = to_tensor(position);
    out.row = to_tensor(row);
    out_ids = to_tensor(ids);
  }

 private:
  int64_t at = 0;
};

struct Labels {
  std::vector<int64_t> token, labels, sequence;

  void add(int64_t its_token, int64_t label, int64_t its_sequence) {
    token.push_back(its_token);
    labels.push_back(label);
    sequence.push_back(its_sequence);
  }
  void finish(Batch& batch) {
    batch.label_token = to_tensor(token);
    batch.labels = to_tensor(labels);
    batch.label_sequence = std::move(sequence);
  }
};

int64_t size_of(const Ids& ids) {
  return static_cast<int64_t>(ids.size());
}

Ids cut(const Ids& ids, int64_t length) {
  return {ids.begin(), ids.begin() + std::min(length, size_of(ids))};
}

// Of examples whose targets were drawn by their scores, these scores.
void keep_scores(std::span<const Example> examples, Batch& batch) {
  std::vector<double> scores;
  bool drawn = false;
  for (const Example& example : examples) {
    drawn |= example.score.has_value();
    scores.push_back(example.score.value_or(1));
  }
  if (drawn) batch.score = at::tensor(scores, at::kDouble);
}

// A sequence at the right end of `max_length` places.
void place(Side& side, const Ids& ids, int64_t example, int64_t first) {
  side.begin(size_of(ids), example, first);
  for (int64_t i = 0; i < size_of(ids); ++i) side.add(ids[i], first + i);
}

// A batch of sequences that add(side, labels, sequence, example) lays down one by one.
template <class Add>
Batch lay_decoder_only(std::span<const Example> examples, Add add) {
  Side source;
  Labels labels;
  for (size_t b = 0; b < examples.size(); ++b) add(source, labels, static_cast<int64_t>(b), examples[b]);
  Batch batch;
  source.finish(batch.visual);
  source.finish(batch.source, batch.source_ids);
  Side().finish(batch.target, batch.target_ids);
  labels.finish(batch);
  keep_scores(examples, batch);
  return batch;
}

// The row of A·B that the source's first token gets.
int64_t first_row(const Example& example, DeltaAlignment alignment, int64_t max_length, int64_t fewest) {
  const int64_t length = size_of(example.source);
  if (length > max_length || length < fewest)
    fail(Code::bad_input, str("example ", example.index), str(fewest, " to ", max_length, " source tokens"), str(length));
  return alignment == DeltaAlignment::end ? max_length - length : 0;
}

}  // namespace

Batch collate_encoder_decoder(std::span<const Example> examples, int64_t decoder_start_id) {
  Side source, target;
  Labels labels;
  for (size_t b = 0; b < examples.size(); ++b) {
    const Example& example = examples[b];
    source.begin(example.read_tokens(), example.index);
    for (int64_t i = 0; i < size_of(example.source); ++i) source.add(example.source[i], i);
    source.add_visual(example.visual);
    source.leave_out_of_bias(example.visual);
    target.begin(size_of(example.target), example.index);
    for (int64_t i = 0; i < size_of(example.target); ++i) {
      labels.add(static_cast<int64_t>(target.ids.size()), example.target[i], static_cast<int64_t>(b));
      target.add(i == 0 ? decoder_start_id : example.target[i - 1], -1);
    }
  }
  Batch batch;
  source.finish(batch.visual);
  source.finish(batch.source, batch.source_ids);
  target.finish(batch.target, batch.target_ids);
  labels.finish(batch);
  keep_scores(examples, batch);
  return batch;
}

Batch collate_decoder_only(std::span<const Example> examples, DeltaAlignment alignment, int64_t max_length,
                           bool prompt_predicts) {
  return lay_decoder_only(examples, [&](Side& source, Labels& labels, int64_t b, const Example& example) {
    const int64_t length = size_of(example.source), answer = size_of(example.target);
    const int64_t row = first_row(example, alignment, max_length, answer == 0 || prompt_predicts ? 0 : 1);
    source.begin(example.read_tokens() + std::max<int64_t>(answer - 1, 0), example.index);
    source.add_visual(example.visual);
    for (int64_t i = 0; i < length; ++i) source.add(example.source[i], row + i);
    for (int64_t i = 0; i < answer; ++i) {
      // the token just added predicts this one, or the prompt in front of an empty source
      labels.add(example.read_tokens() + i > 0 ? static_cast<int64_t>(source.ids.size()) - 1 : -1, example.target[i], b);
      if (i + 1 < answer) source.add(example.target[i], -1);
    }
  });
}

Batch collate_original_training(std::span<const Example> examples, int64_t max_length) {
  return lay_decoder_only(examples, [&](Side& source, Labels& labels, int64_t b, const Example& example) {
    Ids whole = example.source;
    whole.insert(whole.end(), example.target.begin(), example.target.end());
    whole = cut(whole, max_length);
    const auto begin = static_cast<int64_t>(source.ids.size());
    place(source, cut(whole, size_of(whole) - 1), example.index, max_length - size_of(whole));
    for (int64_t i = size_of(example.source); i < size_of(whole); ++i) labels.add(begin + i - 1, whole[i], b);
  });
}

Batch collate_original_evaluating(std::span<const Example> examples, int64_t max_length, int64_t pad_id) {
  return lay_decoder_only(examples, [&](Side& source, Labels& labels, int64_t, const Example& example) {
    const Ids text = cut(example.source, max_length);
    const Ids target = cut(example.target, std::min(max_length, std::max<int64_t>(0, size_of(example.target) - 1)));
    const int64_t answer = size_of(target), pads = max_length - size_of(text);
    const int64_t first = max_length - answer - 1;  // the place that predicts the first label
    int64_t i = 0;
    for (; i < answer && first + i < pads; ++i) {
      labels.add(first + i < 0 ? -1 : static_cast<int64_t>(source.ids.size()), target[i], source.tokens.batch());
      if (first + i >= 0) source.add_outside(pad_id, example.index, first + i);
    }
    const auto begin = static_cast<int64_t>(source.ids.size()) - pads;
    for (; i < answer; ++i) labels.add(begin + first + i, target[i], source.tokens.batch());
    place(source, text, example.index, pads);
  });
}

Batch collate_classified(std::span<const Example> examples, DeltaAlignment alignment, int64_t max_length) {
  Side source;
  std::vector<double> values;
  for (const Example& example : examples) {
    const int64_t row = first_row(example, alignment, max_length, 1);
    source.begin(example.read_tokens(), example.index);
    source.add_visual(example.visual);
    for (int64_t i = 0; i < size_of(example.source); ++i) source.add(example.source[i], row + i);
    values.push_back(example.value);
  }
  Batch batch;
  source.finish(batch.visual);
  source.finish(batch.source, batch.source_ids);
  batch.values = at::tensor(values, at::kDouble);
  return batch;
}

}  // namespace dept
