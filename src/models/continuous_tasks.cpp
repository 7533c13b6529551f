#include "models/continuous_tasks.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/topk.h>

#include <algorithm>

#include "dept/base/error.h"
#include "dept/kernels/cross_entropy.h"

namespace dept {
namespace {

constexpr int64_t stretch = 256;  // places whose logits stand in memory at once

// Of each row of logits [n, V], with the id that stands behind it.
std::vector<TokenScores> scores_of(const at::Tensor& logits, std::span<const int64_t> ids, int64_t best) {
  const at::Tensor log_p = at::log_softmax(logits.to(at::kCPU, at::kDouble), 1).contiguous();
  const auto [values, places] = at::topk(log_p, std::min(best, log_p.size(1)), 1);
  const int64_t count = values.size(1);
  std::vector<TokenScores> scores(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    const int64_t row = static_cast<int64_t>(i);
    scores[i].logprob = log_p.const_data_ptr<double>()[row * log_p.size(1) + ids[i]];
    for (int64_t c = row * count; c < (row + 1) * count; ++c)
      scores[i].best.emplace_back(places.const_data_ptr<int64_t>()[c], values.const_data_ptr<double>()[c]);
  }
  return scores;
}

/// A source, and answers behind it.
class Writer : public Task {
 public:
  Writer(SequencePool& pool, WriteTask task) : Task(pool, std::move(task.source)), task_(std::move(task)) {}

  PlacedSource::Room room() const override { return {width(), task_.options.max_new_tokens, true}; }
  void tell(const Error& error) override {
    if (task_.on_error) task_.on_error(error);
  }

 protected:
  int64_t width() const { return std::max(task_.options.num_beams, task_.options.num_return_sequences); }
  const GenerationOptions& options() const { return task_.options; }
  bool started() const { return started_; }

  /// Adds the source's tokens.
  void start(ContinuousStep& step) {
    started_ = true;
    first_ = *source_.start(step);
  }
  /// Logits [1, V] behind the source, once; the scores of its text are told.
  at::Tensor first_logits(ContinuousStep& step) {
    if (!task_.scored.empty()) {
      tell_text_scores(step);
      task_.scored.clear();
    }
    return step.logits(first_);
  }
  size_t first() const { return first_; }

  WriteTask task_;

 private:
  void tell_text_scores(ContinuousStep& step) {
    std::vector<TokenScores> scores;
    const auto count = static_cast<int64_t>(task_.scored.size()) - 1;
    for (int64_t begin = 0; begin < count; begin += stretch) {
      const int64_t length = std::min(stretch, count - begin);
      const at::Tensor logits = step.model().logits(step.hidden(first_).narrow(0, begin, length));
      const std::span<const int64_t> ids(task_.scored.data() + begin + 1, static_cast<size_t>(length));
      for (TokenScores& each : scores_of(logits, ids, task_.logprobs.value_or(0))) scores.push_back(std::move(each));
    }
    task_.on_text_scores(std::move(scores));
  }

  bool started_ = false;
  size_t first_ = 0;
};

/// The likeliest tokens, or draws: every answer on its own.
class TokenWriter final : public Writer {
 public:
  TokenWriter(SequencePool& pool, WriteTask task) : Writer(pool, std::move(task)), answers_(static_cast<size_t>(width())) {
    for (Answer& answer : answers_) answer.history = task_.counted;
  }

  int64_t sequences() const override { return started() ? static_cast<int64_t>(going_.size()) : width(); }

  void plan(ContinuousStep& step) override {
    if (!started()) return start(step);
    for (const size_t choice : going_) {
      Answer& answer = answers_[choice];
      answer.piece = step.add(source_.next(source_.rows()[choice], {answer.out.ids.back()}, 1));
    }
  }

  bool take(ContinuousStep& step) override {
    if (going_.empty()) {
      const at::Tensor logits = first_logits(step);
      for (size_t choice = 0; choice < answers_.size() && options().max_new_tokens > 0; ++choice) {
        answers_[choice].piece = first();
        if (goes_on(choice, step, logits)) going_.push_back(choice);
      }
    } else {
      std::erase_if(going_, [&](size_t choice) { return !goes_on(choice, step, step.logits(answers_[choice].piece)); });
    }
    if (!going_.empty()) return false;
    std::vector<Generated> made;
    for (Answer& answer : answers_) made.push_back(std::move(answer.out));
    task_.on_done(std::move(made));
    return true;
  }

 private:
  struct Answer {
    IdList history;  // ids that penalties count
    Generated out;
    size_t piece = 0;
  };

  // Takes the next token of an answer, and its row's room when that was the last.
  bool goes_on(size_t choice, ContinuousStep& step, const at::Tensor& logits) {
    Answer& answer = answers_[choice];
    const int64_t id = next_id(choice, step, logits);
    answer.out.ids.push_back(id);
    answer.history.push_back(id);
    std::optional<TokenScores> scores;
    if (task_.logprobs) scores = scores_of(logits, std::span(&id, 1), *task_.logprobs).front();
    const bool told_to_stop = task_.on_token && task_.on_token(choice, id, scores ? &*scores : nullptr);
    if (told_to_stop || is_eos(options(), id))
      answer.out.finish = Generated::Finish::stop;
    else if (static_cast<int64_t>(answer.out.ids.size()) < options().max_new_tokens)
      return true;
    source_.rows()[choice].lease.release();
    return false;
  }

  int64_t next_id(size_t choice, ContinuousStep& step, const at::Tensor& logits) {
    const auto made = static_cast<int64_t>(answers_[choice].out.ids.size());
    if (!options().do_sample && !has_processors(options(), made)) return step.likeliest(answers_[choice].piece);
    const at::Tensor scores = logits.to(at::kCPU, at::kFloat).clone();
    const DrawKey key{options().seed, source_.example(), static_cast<int64_t>(choice), made};
    return choose_token(row_of(scores, 0), answers_[choice].history, options(), key);
  }

  std::vector<Answer> answers_;
  std::vector<size_t> going_;
};

class BeamWriter final : public Writer {
 public:
  BeamWriter(SequencePool& pool, WriteTask task) : Writer(pool, std::move(task)), search_(options(), options().max_new_tokens) {}

  int64_t sequences() const override { return width(); }

  void plan(ContinuousStep& step) override {
    if (!started()) return start(step);
    const auto& beams = search_.running();
    for (size_t i = 0; i < beams.size(); ++i) {
      const size_t piece = step.add(source_.next(source_.rows()[i], {beams[i].ids.back()}, 1));
      if (i == 0) first_beam_ = piece;
    }
  }

  bool take(ContinuousStep& step) override {
    const bool first = search_.new_tokens() == 0;
    std::vector<at::Tensor> logits;
    for (size_t i = 0; i < search_.running().size(); ++i)
      logits.push_back(first ? first_logits(step) : step.logits(first_beam_ + i));
    const BeamSource beams{&search_, &task_.counted, source_.example()};
    if (options().max_new_tokens > 0) {
      search_.advance(beam_candidates(at::cat(logits), std::span(&beams, 1), options()).front(), task_.stops, 0);
      if (!search_.done()) {
        if (!first) reorder();
        return false;
      }
    }
    std::vector<Generated> answers = search_.answers();
    answers.resize(static_cast<size_t>(options().num_return_sequences));
    task_.on_done(std::move(answers));
    return true;
  }

 private:
  void reorder() {
    std::vector<PlacedSource::Row>& rows = source_.rows();
    IdList slots;
    std::vector<size_t> parents;
    for (const PlacedSource::Row& row : rows) slots.push_back(row.slot);
    for (const BeamSearch::Beam& beam : search_.running()) parents.push_back(beam.parent);
    const SlotMoves moves = moves_to(slots, parents);
    for (size_t i = 0; i < parents.size(); ++i) rows[i].slot = moves.slots[i];
    if (!moves.from.empty()) source_.copy(moves.from, moves.to);
  }

  BeamSearch search_;
  size_t first_beam_ = 0;
};

/// A source, and labels behind it one after the other.
class LabelScorer final : public Task {
 public:
  LabelScorer(SequencePool& pool, LabelTask task)
      : Task(pool, std::move(task.source)), task_(std::move(task)), nll_(task_.labels.size(), 0) {}

  PlacedSource::Room room() const override {
    size_t longest = 0;
    for (const LabelRun& label : task_.labels) longest = std::max(longest, label.inputs.size());
    return {1, static_cast<int64_t>(longest), false};
  }
  int64_t sequences() const override { return 1; }
  void tell(const Error& error) override {
    if (task_.on_error) task_.on_error(error);
  }

  void plan(ContinuousStep& step) override {
    if (!started_) {
      started_ = true;
      source_piece_ = source_.start(step);
      in_source_ = true;
      if (source_piece_) return;
    }
    in_source_ = false;
    const LabelRun& label = task_.labels[at_];
    PlacedSource::Row& row = source_.rows().front();
    const int64_t position = row.position;
    label_piece_ = step.add(source_.next(row, label.inputs, static_cast<int64_t>(label.outputs.size())));
    row.position = position;
  }

  bool take(ContinuousStep& step) override {
    if (in_source_) {
      for (size_t i = 0; i < nll_.size(); ++i)
        if (task_.labels[i].first) nll_[i] += nll(step.logits(*source_piece_), {*task_.labels[i].first});
      held_ = source_.length();
    } else {
      nll_[at_] += nll(step.logits(label_piece_), task_.labels[at_].outputs);
      source_.rewind(held_);
      ++at_;
    }
    while (at_ < task_.labels.size() && task_.labels[at_].inputs.empty()) ++at_;
    if (at_ < task_.labels.size()) return false;
    task_.on_done(std::move(nll_));
    return true;
  }

 private:
  double nll(const at::Tensor& logits, const IdList& ids) const {
    return kernels::cross_entropy(logits, at::tensor(ids, at::kLong), nullptr, 0, source_.kernels())
        .to(at::kDouble)
        .sum()
        .item<double>();
  }

  LabelTask task_;
  std::vector<double> nll_;
  bool started_ = false, in_source_ = false;
  size_t at_ = 0;  // the label that is next
  std::optional<size_t> source_piece_;
  size_t label_piece_ = 0;
  int64_t held_ = 0;  // tokens of the slot in front of the labels
};

}  // namespace

std::unique_ptr<Task> make_task(SequencePool& pool, WriteTask task) {
  if (task.options.num_beams > 1) return std::make_unique<BeamWriter>(pool, std::move(task));
  return std::make_unique<TokenWriter>(pool, std::move(task));
}

std::unique_ptr<Task> make_task(SequencePool& pool, LabelTask task) {
  return std::make_unique<LabelScorer>(pool, std::move(task));
}

}  // namespace dept
