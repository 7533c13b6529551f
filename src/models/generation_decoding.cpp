#include "models/generation_decoding.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <numeric>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "models/generation_beams.h"

namespace dept {
namespace {

at::Tensor to_tensor(const IdList& values, c10::Device device) {
  return at::tensor(values, at::kLong).to(device);
}

IdList range(int64_t count) {
  IdList numbers(count);
  std::iota(numbers.begin(), numbers.end(), int64_t{0});
  return numbers;
}

// Some sequences of a stream, without their prefixes.
Stream select(const Stream& all, const IdList& sequences) {
  Stream out;
  std::vector<at::Tensor> positions, embeds;
  for (const int64_t b : sequences) {
    const int64_t begin = all.tokens.offsets[b], end = all.tokens.offsets[b + 1];
    out.tokens.append(end - begin, all.tokens.example[b], all.tokens.config[b]);
    positions.push_back(all.tokens.position.slice(0, begin, end));
    embeds.push_back(all.embeds.slice(0, begin, end));
  }
  out.tokens.position = at::cat(positions);
  out.embeds = at::cat(embeds);
  return out;
}

}  // namespace

Decoding::Decoding(const TextModel& model, const GenerationInput& input, int64_t width, int64_t max_new_tokens)
    : model_(model), width_(width), decoder_prompt_(input.decoder_prompt) {
  max_new_tokens = std::min<int64_t>(max_new_tokens, 1 << 20);
  input.source.tokens.check();
  if (model.info().encoder_decoder()) {
    encode(input.source, max_new_tokens);
  } else {
    prefill(input.source, max_new_tokens);
  }
  const int64_t first = width == 1 ? 0 : input.source.tokens.batch();
  for (const Source& source : sources_)
    for (int64_t i = 0; i < width; ++i)
      rows_.push_back({width == 1 ? source.slot : first + static_cast<int64_t>(rows_.size()), source.next_position, width == 1});
}

void Decoding::encode(const Stream& source, int64_t max_new_tokens) {
  if (!model_.info().answer_start_id) fail(Code::bad_input, "config.json", "decoder_start_token_id", "none");
  const int64_t batch = source.tokens.batch(), prompt = decoder_prompt_.defined() ? decoder_prompt_.size(1) : 0;
  for (int64_t b = 0; b < batch; ++b) {
    if (source.tokens.length(b) == 0) fail(Code::bad_input, str("sequence ", b), "at least one token", "none");
    sources_.push_back({b, source.tokens.example[b], source.tokens.config[b], prompt + 1});
  }
  cache_ = model_.start(source, batch + (width_ > 1 ? batch * width_ : 0), prompt + 1 + width_ * max_new_tokens);
}

// A shared prompt stands in front of its texts: where texts are shared themselves, its keys are copied in front of theirs.
void Decoding::prefill(const Stream& source, int64_t max_new_tokens) {
  const Ragged& tokens = source.tokens;
  IdList prompts, texts, end(tokens.batch());
  for (int64_t b = 0; b < tokens.batch(); ++b) (tokens.example[b] < 0 ? prompts : texts).push_back(b);
  cache_ = model_.start(source, tokens.batch() + (width_ > 1 ? static_cast<int64_t>(texts.size()) * width_ : 0), max_new_tokens);

  std::vector<at::Tensor> hidden;
  int64_t rows = 0;
  const auto run = [&](Stream part, const IdList& sequences) {
    IdList last;
    for (int64_t b = 0; b < part.tokens.batch(); ++b) {
      if (part.tokens.length(b) > 0) last.push_back(part.tokens.offsets[b + 1] - 1);
      end[sequences[b]] = rows + part.tokens.offsets[b + 1] - 1;
    }
    rows += part.tokens.tokens();
    part.want(last);
    hidden.push_back(model_.extend(*cache_, part, sequences));
  };
  if (width_ == 1 || prompts.empty()) {
    run(source, range(tokens.batch()));
  } else {
    run(select(source, prompts), prompts);
    IdList from, to;
    for (const int64_t b : texts) {
      if (tokens.prefix[b] < 0) continue;
      from.push_back(tokens.prefix[b]);
      to.push_back(b);
    }
    model_.copy_slots(*cache_, from, to);
    run(select(source, texts), texts);
  }

  IdList last_tokens;
  for (const int64_t b : texts) {
    const int64_t holder = tokens.length(b) > 0 ? b : tokens.prefix[b];  // an empty text goes on from its prompt
    if (holder < 0 || tokens.length(holder) == 0) fail(Code::bad_input, str("sequence ", b), "at least one token", "none");
    last_tokens.push_back(end[holder]);
    sources_.push_back(
        {b, tokens.example[b], tokens.config[b], tokens.position.const_data_ptr<int64_t>()[tokens.offsets[holder + 1] - 1] + 1});
  }
  last_hidden_ = at::cat(hidden).index_select(0, to_tensor(last_tokens, model_.context().device));
}

at::Tensor Decoding::first_logits() {
  return model_.logits(model_.info().encoder_decoder() ? start_decoder() : std::move(last_hidden_));
}

// Every source's decoder prompt and start token; hidden states [sources, D] of the latter.
at::Tensor Decoding::start_decoder() {
  const at::Tensor start = model_.embed(at::tensor({*model_.info().answer_start_id}, at::kLong)).to(model_.context().residual());
  const int64_t length = 1 + (decoder_prompt_.defined() ? decoder_prompt_.size(1) : 0);
  Stream fresh;
  std::vector<at::Tensor> embeds;
  IdList positions, slots, last;
  for (const Source& source : sources_) {
    fresh.tokens.append(length, source.example, source.config);
    if (decoder_prompt_.defined()) embeds.push_back(decoder_prompt_.select(0, source.config));
    embeds.push_back(start);
    for (int64_t i = 0; i < length; ++i) positions.push_back(i);
    slots.push_back(source.slot);
    last.push_back(fresh.tokens.tokens() - 1);
  }
  fresh.tokens.position = at::tensor(positions, at::kLong);
  fresh.embeds = at::cat(embeds);
  return model_.extend(*cache_, fresh, slots).index_select(0, to_tensor(last, model_.context().device));
}

at::Tensor Decoding::extend(const std::vector<size_t>& which, const IdList& ids) {
  Stream fresh;
  IdList positions, slots, front(sources_.size(), -1);
  for (const size_t r : which) {  // sources that rows are about to share, without tokens of their own
    const size_t s = r / width_;
    if (rows_[r].started || front[s] >= 0) continue;
    front[s] = fresh.tokens.batch();
    fresh.tokens.append(0, sources_[s].example, sources_[s].config);
    slots.push_back(sources_[s].slot);
  }
  for (const size_t r : which) {
    const Source& source = sources_[r / width_];
    fresh.tokens.append(1, source.example, source.config, rows_[r].started ? -1 : front[r / width_]);
    positions.push_back(rows_[r].next_position++);
    slots.push_back(rows_[r].slot);
    rows_[r].started = true;
  }
  fresh.tokens.position = at::tensor(positions, at::kLong);
  fresh.embeds = model_.embed(at::tensor(ids, at::kLong)).to(model_.context().residual());
  return model_.logits(model_.extend(*cache_, fresh, slots));
}

void Decoding::reorder(size_t source, const std::vector<size_t>& parents) {
  Row* rows = rows_.data() + source * width_;
  const std::vector<Row> old(rows, rows + width_);
  IdList slots;
  for (const Row& row : old) slots.push_back(row.slot);
  const SlotMoves moves = moves_to(slots, parents);
  for (size_t i = 0; i < parents.size(); ++i) {
    rows[i] = old[parents[i]];
    rows[i].slot = moves.slots[i];
  }
  if (!moves.from.empty()) model_.copy_slots(*cache_, moves.from, moves.to);
}

int64_t Decoding::limit(size_t source, int64_t most) const {
  const int64_t positions = model_.info().max_positions, taken = sources_[source].next_position;
  if (positions == 0 || most == 0) return most;
  if (taken >= positions)
    fail(Code::bad_input, str("sequence ", source),
         str("fewer than the model's ", positions, " positions, an answer's among them"), str(taken));
  return std::min(most, positions - taken);
}

void Decoding::finish(size_t row) {
  model_.rewind(*cache_, rows_[row].slot, 0);
}

}  // namespace dept
