#include "dept/models/generation.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <numeric>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/kernels/argmax.h"
#include "models/generation_choice.h"
#include "models/generation_decoding.h"
#include "models/generation_options.h"

namespace dept {
namespace {

std::vector<IdList> counted_ids(const GenerationInput& input, size_t sources, int64_t vocab) {
  if (input.counted.empty()) return std::vector<IdList>(sources);
  if (input.counted.size() != sources)
    fail(Code::bug, "generate", str(sources, " lists of counted ids"), str(input.counted.size()));
  for (const IdList& ids : input.counted)
    for (const int64_t id : ids)
      if (id < 0 || id >= vocab) fail(Code::bad_input, "counted ids", str("ids from 0 to ", vocab - 1), str(id));
  return input.counted;
}

using Answers = std::vector<std::vector<Generated>>;

/// Greedy search and sampling: every row on its own.
class TokenSearch {
 public:
  TokenSearch(Decoding& decoding, const GenerationOptions& options, std::vector<IdList> counted)
      : decoding_(decoding), options_(options), width_(decoding.width()) {
    for (size_t s = 0; s < counted.size(); ++s)
      for (int64_t i = 0; i < width_; ++i) rows_.push_back({counted[s], decoding.limit(s, options.max_new_tokens), {}});
  }

  Answers run(const TokenSink& sink) {
    std::vector<size_t> active(options_.max_new_tokens > 0 ? rows_.size() : 0);
    std::iota(active.begin(), active.end(), size_t{0});
    IdList ids;
    while (!active.empty()) {
      const at::Tensor logits =
          ids.empty() ? decoding_.first_logits().repeat_interleave(width_, 0) : decoding_.extend(active, ids);
      const IdList chosen = choose(logits, active);
      std::vector<size_t> going;
      ids.clear();
      for (size_t i = 0; i < active.size(); ++i) {
        if (take(active[i], chosen[i], sink)) {
          going.push_back(active[i]);
          ids.push_back(chosen[i]);
        } else {
          decoding_.finish(active[i]);
        }
      }
      active = std::move(going);
    }
    Answers answers(decoding_.sources());
    for (size_t r = 0; r < rows_.size(); ++r) answers[r / width_].push_back(std::move(rows_[r].out));
    return answers;
  }

 private:
  struct Row {
    IdList history;  // ids that penalties count
    int64_t limit;   // of new tokens
    Generated out;
  };

  // The next id of each active row, from its logits.
  IdList choose(const at::Tensor& logits, const std::vector<size_t>& active) const {
    const auto made = static_cast<int64_t>(rows_[active.front()].out.ids.size());
    const bool processes = has_processors(options_, made);
    IdList chosen(active.size());
    if (!processes && !options_.do_sample) {
      const at::Tensor best = kernels::argmax(logits, decoding_.kernels());
      std::copy_n(best.const_data_ptr<int64_t>(), chosen.size(), chosen.begin());
      return chosen;
    }
    const at::Tensor scores = logits.to(at::kCPU, at::kFloat).contiguous();
    for (size_t i = 0; i < active.size(); ++i) {
      const DrawKey key{options_.seed, decoding_.example(active[i] / width_), static_cast<int64_t>(active[i]) % width_, made};
      chosen[i] = choose_token(row_of(scores, static_cast<int64_t>(i)), rows_[active[i]].history, options_, key);
    }
    return chosen;
  }

  // Whether the row goes on behind its new token.
  bool take(size_t row, int64_t id, const TokenSink& sink) {
    Generated& out = rows_[row].out;
    out.ids.push_back(id);
    rows_[row].history.push_back(id);
    const bool told_to_stop = sink && sink(row / width_, out.ids);
    if (told_to_stop || is_eos(options_, id)) {
      out.finish = Generated::Finish::stop;
      return false;
    }
    return static_cast<int64_t>(out.ids.size()) < rows_[row].limit;
  }

  Decoding& decoding_;
  const GenerationOptions& options_;
  int64_t width_;
  std::vector<Row> rows_;
};

/// Beam searches of all sources side by side.
class BeamSearches {
 public:
  BeamSearches(Decoding& decoding, const GenerationOptions& options, std::vector<IdList> counted)
      : decoding_(decoding), options_(options), counted_(std::move(counted)) {
    for (size_t s = 0; s < decoding.sources(); ++s) searches_.emplace_back(options, decoding.limit(s, options.max_new_tokens));
  }

  Answers run(const TokenSink& sink) {
    std::vector<size_t> active(options_.max_new_tokens > 0 ? searches_.size() : 0);
    std::iota(active.begin(), active.end(), size_t{0});
    at::Tensor logits = active.empty() ? at::Tensor() : decoding_.first_logits();
    while (!active.empty()) {
      const auto candidates = best_candidates(logits, active);
      std::vector<size_t> going;
      for (size_t i = 0; i < active.size(); ++i) {
        const size_t s = active[i];
        const bool first = searches_[s].new_tokens() == 0;
        searches_[s].advance(candidates[i],
                             sink ? [&](std::span<const int64_t> ids) { return sink(s, ids); } : BeamSearch::Stops(), i);
        if (searches_[s].done()) {
          for (int64_t j = 0; j < options_.num_beams; ++j) decoding_.finish(s * options_.num_beams + j);
          continue;
        }
        going.push_back(s);
        if (!first) reorder(s);
      }
      active = std::move(going);
      if (!active.empty()) logits = extend(active);
    }
    Answers answers;
    for (BeamSearch& search : searches_) answers.push_back(search.answers());
    if (options_.max_new_tokens == 0)
      for (auto& none : answers) none.resize(options_.num_return_sequences);
    return answers;
  }

 private:
  std::vector<std::vector<BeamSearch::Candidate>> best_candidates(const at::Tensor& logits,
                                                                  const std::vector<size_t>& active) const {
    std::vector<BeamSource> sources;
    for (const size_t s : active) sources.push_back({&searches_[s], &counted_[s], decoding_.example(s)});
    return beam_candidates(logits, sources, options_);
  }

  void reorder(size_t s) {
    std::vector<size_t> parents;
    for (const BeamSearch::Beam& beam : searches_[s].running()) parents.push_back(beam.parent);
    decoding_.reorder(s, parents);
  }

  at::Tensor extend(const std::vector<size_t>& active) {
    std::vector<size_t> rows;
    IdList ids;
    for (const size_t s : active) {
      for (const BeamSearch::Beam& beam : searches_[s].running()) {
        rows.push_back(s * options_.num_beams + (rows.size() % options_.num_beams));
        ids.push_back(beam.ids.back());
      }
    }
    return decoding_.extend(rows, ids);
  }

  Decoding& decoding_;
  const GenerationOptions& options_;
  std::vector<IdList> counted_;
  std::vector<BeamSearch> searches_;
};

}  // namespace

const char* finish_name(Generated::Finish finish) {
  return finish == Generated::Finish::stop ? "stop" : "length";
}

std::vector<std::vector<Generated>> generate(const TextModel& model, const GenerationInput& input,
                                             const GenerationOptions& options, const TokenSink& sink) {
  check_options(options, model.info());
  const bool beams = options.num_beams > 1;
  Decoding decoding(model, input, beams ? options.num_beams : options.num_return_sequences, options.max_new_tokens);
  std::vector<IdList> counted = counted_ids(input, decoding.sources(), model.info().vocab);
  if (beams) return BeamSearches(decoding, options, std::move(counted)).run(sink);
  return TokenSearch(decoding, options, std::move(counted)).run(sink);
}

}  // namespace dept
