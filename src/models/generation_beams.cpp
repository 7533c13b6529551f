#include "models/generation_beams.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr float worst_score = -1e9F;

float normalised(float score, int64_t length, double penalty) {
  return score / static_cast<float>(std::pow(static_cast<double>(length), penalty));
}

}  // namespace

int64_t BeamSearch::candidates(const GenerationOptions& options) {
  if (options.listed_beams) return options.num_beams * 2;
  return options.num_beams * std::max<int64_t>(2, 1 + static_cast<int64_t>(options.eos_ids.size()));
}

bool BeamSearch::is_eos(int64_t id) const {
  return std::find(options_.eos_ids.begin(), options_.eos_ids.end(), id) != options_.eos_ids.end();
}

void BeamSearch::advance(const std::vector<Candidate>& candidates, const Stops& stops, size_t place) {
  if (options_.listed_beams) return advance_listed(candidates, place);
  const int64_t length = new_tokens() + 1;
  const bool last = length >= limit_;
  std::vector<Beam> going, ended;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const Candidate& candidate = candidates[i];
    Beam beam{running_[candidate.beam].ids, candidate.score, candidate.beam};
    beam.ids.push_back(candidate.id);
    const bool stopped = (stops && stops(beam.ids)) || is_eos(candidate.id);
    const bool possible = candidate.score > -std::numeric_limits<float>::infinity();
    if ((stopped || last) && possible && static_cast<int64_t>(i) < options_.num_beams) keep(beam, stopped);
    (stopped || last ? ended : going).push_back(std::move(beam));
  }
  // Drawn candidates are in no order.
  std::stable_sort(going.begin(), going.end(), [](const Beam& a, const Beam& b) { return a.score > b.score; });
  const bool none_goes_on = going.empty();
  for (Beam& beam : ended) {  // only stop strings can leave fewer than num_beams
    beam.score += worst_score;
    going.push_back(std::move(beam));
  }
  going.resize(std::min<size_t>(going.size(), options_.num_beams), {});
  running_ = std::move(going);
  improvable_ = improvable_ && can_improve();
  const bool full = static_cast<int64_t>(finished_.size()) == options_.num_beams;
  done_ = none_goes_on || !improvable_ || (full && options_.early_stopping == EarlyStopping::yes);
}

void BeamSearch::keep(const Beam& beam, bool stopped) {
  const float score = normalised(beam.score, static_cast<int64_t>(beam.ids.size()), options_.length_penalty);
  const auto place = std::find_if(finished_.begin(), finished_.end(), [&](const Finished& other) { return score > other.score; });
  finished_.insert(place, {{beam.ids, stopped ? Generated::Finish::stop : Generated::Finish::length, score}, score});
  if (static_cast<int64_t>(finished_.size()) > options_.num_beams) finished_.pop_back();
}

// Whether the best running beam could still displace the worst of num_beams answers, under transformers' guess of its length.
bool BeamSearch::can_improve() const {
  if (static_cast<int64_t>(finished_.size()) < options_.num_beams) return true;
  const bool longest = options_.early_stopping == EarlyStopping::never && options_.length_penalty > 0;
  const int64_t length = longest ? limit_ : new_tokens();
  return normalised(running_.front().score, length, options_.length_penalty) > finished_.back().score;
}

double BeamSearch::listed_score(double sum, int64_t length) const {
  return sum / std::pow(static_cast<double>(*options_.listed_beams + length), options_.length_penalty);
}

// BeamSearchScorer.process of transformers 4.28, whose count of the length grows over the batch's searches.
void BeamSearch::advance_listed(const std::vector<Candidate>& candidates, size_t place) {
  const auto beams = static_cast<size_t>(options_.num_beams);
  const int64_t length = new_tokens();
  std::vector<Beam> going;
  for (size_t i = 0; i < candidates.size() && going.size() < beams; ++i) {
    const Candidate& candidate = candidates[i];
    Beam beam{running_[candidate.beam].ids, candidate.score, candidate.beam};
    beam.ids.push_back(candidate.id);
    if (!is_eos(candidate.id))
      going.push_back(std::move(beam));
    else if (i < beams)
      keep_listed(beam, true);
  }
  if (going.size() < beams) fail(Code::usage, "num_beams", "enough continuations that are no end token", str(going.size()));
  running_ = std::move(going);
  if (finished_.size() == beams) {
    const int64_t longest = options_.early_stopping == EarlyStopping::never && options_.length_penalty > 0
                                ? limit_
                                : length + 1 + static_cast<int64_t>(place);
    done_ = options_.early_stopping == EarlyStopping::yes ||
            finished_.back().score >= listed_score(candidates.front().score, longest);
  }
  if (done_ || new_tokens() < limit_) return;
  for (const Beam& beam : running_) keep_listed(beam, false);
  done_ = true;
}

// The newer of equals comes first.
void BeamSearch::keep_listed(const Beam& beam, bool stopped) {
  const double score = listed_score(beam.score, static_cast<int64_t>(beam.ids.size()) - (stopped ? 1 : 0));
  if (finished_.size() == static_cast<size_t>(options_.num_beams)) {
    if (score <= finished_.back().score) return;
    finished_.pop_back();
  }
  const auto place =
      std::find_if(finished_.begin(), finished_.end(), [&](const Finished& other) { return score >= other.score; });
  finished_.insert(place, {{beam.ids, stopped ? Generated::Finish::stop : Generated::Finish::length, score}, score});
}

std::vector<Generated> BeamSearch::answers() {
  std::vector<Generated> answers;
  for (size_t i = 0; i < finished_.size() && static_cast<int64_t>(i) < options_.num_return_sequences; ++i)
    answers.push_back(std::move(finished_[i].answer));
  return answers;
}

SlotMoves moves_to(std::span<const int64_t> slots, std::span<const size_t> parents) {
  SlotMoves moves;
  std::vector<bool> taken(slots.size(), false);
  std::vector<size_t> copies;
  for (size_t i = 0; i < parents.size(); ++i) {
    moves.slots.push_back(slots[parents[i]]);
    if (taken[parents[i]]) copies.push_back(i);
    taken[parents[i]] = true;
  }
  size_t idle = 0;
  for (const size_t i : copies) {
    while (taken[idle]) ++idle;
    moves.from.push_back(moves.slots[i]);
    moves.to.push_back(moves.slots[i] = slots[idle++]);
  }
  return moves;
}

}  // namespace dept
