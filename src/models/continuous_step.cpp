#include "models/continuous_step.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <utility>

#include "dept/kernels/argmax.h"
#include "dept/tensor/upload.h"

namespace dept {

size_t ContinuousStep::add(SequencePiece piece) {
  const int64_t count = piece.embeds.defined() ? piece.embeds.size(0) : static_cast<int64_t>(piece.ids.size());
  tokens_of_.push_back({tokens_, count});
  tokens_ += count;
  pieces_.push_back(std::move(piece));
  given_.emplace_back();
  return pieces_.size() - 1;
}

size_t ContinuousStep::add_hidden(at::Tensor hidden) {
  SequencePiece piece;
  piece.wanted = hidden.size(0);
  tokens_of_.push_back({tokens_, 0});
  pieces_.push_back(std::move(piece));
  given_.push_back(std::move(hidden));
  return pieces_.size() - 1;
}

// All pieces' tokens end to end, and in `slots` each sequence's; what a piece is to stand behind comes in front of it, empty.
Stream ContinuousStep::gathered(IdList& slots) {
  Stream fresh;
  std::map<int64_t, int64_t> sequence_of;  // prefix slot -> its empty sequence
  IdList positions, ids;
  for (const SequencePiece& piece : pieces_) ids.insert(ids.end(), piece.ids.begin(), piece.ids.end());
  const at::ScalarType residual = model_.context().residual();
  at::Tensor words;
  if (!ids.empty()) words = model_.embed(at::tensor(ids, at::kLong)).to(residual);
  std::vector<at::Tensor> embeds;
  int64_t taken = 0, run = 0;  // words that are in `embeds`, and those that come next
  const auto flush = [&] {
    if (run > 0) embeds.push_back(words.narrow(0, taken, run));
    taken += std::exchange(run, 0);
  };
  for (size_t i = 0; i < pieces_.size(); ++i) {
    const SequencePiece& piece = pieces_[i];
    if (tokens_of_[i].count == 0) continue;
    int64_t front = -1;
    if (piece.prefix >= 0) {
      const auto [known, is_new] = sequence_of.emplace(piece.prefix, fresh.tokens.batch());
      if (is_new) {
        fresh.tokens.append(0, -1);
        slots.push_back(piece.prefix);
      }
      front = known->second;
    }
    fresh.tokens.append(tokens_of_[i].count, 0, 0, front);
    slots.push_back(piece.slot);
    for (int64_t n = 0; n < tokens_of_[i].count; ++n) positions.push_back(piece.position + n);
    if (piece.embeds.defined()) {
      flush();
      embeds.push_back(piece.embeds);
    } else {
      run += tokens_of_[i].count;
    }
  }
  flush();
  fresh.tokens.position = at::tensor(positions, at::kLong);
  fresh.embeds = embeds.size() == 1 ? embeds.front() : at::cat(embeds);
  return fresh;
}

void ContinuousStep::run(KvCache& cache) {
  if (tokens_ > 0) {
    IdList slots;
    const Stream fresh = gathered(slots);
    hidden_ = model_.extend(cache, fresh, slots);
  }
  IdList wanted;
  std::vector<at::Tensor> states;
  int64_t rows = 0;
  const auto flush = [&] {
    if (!wanted.empty()) states.push_back(hidden_.index_select(0, upload(wanted, hidden_.device())));
    wanted.clear();
  };
  for (size_t i = 0; i < pieces_.size(); ++i) {
    rows_.push_back({rows, pieces_[i].wanted});
    rows += pieces_[i].wanted;
    if (given_[i].defined()) {
      flush();
      states.push_back(given_[i]);
      continue;
    }
    for (int64_t n = tokens_of_[i].count - pieces_[i].wanted; n < tokens_of_[i].count; ++n)
      wanted.push_back(tokens_of_[i].begin + n);
  }
  flush();
  if (rows > 0) logits_ = model_.logits(states.size() == 1 ? states.front() : at::cat(states));
}

at::Tensor ContinuousStep::hidden(size_t piece) const {
  return hidden_.narrow(0, tokens_of_[piece].begin, tokens_of_[piece].count);
}

at::Tensor ContinuousStep::logits(size_t piece) const {
  return logits_.narrow(0, rows_[piece].begin, rows_[piece].count);
}

int64_t ContinuousStep::likeliest(size_t piece) {
  if (!likeliest_.defined()) likeliest_ = kernels::argmax(logits_, model_.context().kernels);
  return likeliest_.const_data_ptr<int64_t>()[rows_[piece].begin];
}

}  // namespace dept
