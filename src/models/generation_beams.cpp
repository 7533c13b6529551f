#include "models/generation_beams.h"

#include <algorithm>
#include <cmath>

namespace dept {
namespace {

constexpr float worst_score = -1e9F;

float normalised(float score, int64_t length, double penalty) {
  return score / static_cast<float>(std::pow(static_cast<double>(length), penalty));
}

}  // namespace

int64_t BeamSearch::candidates(const GenerationOptions& options) {
  return options.num_beams * std::max<int64_t>(2, 1 + static_cast<int64_t>(options.eos_ids.size()));
}

void BeamSearch::advance(const std::vector<Candidate>& candidates, const Stops& stops) {
  const int64_t length = new_tokens() + 1;
  const bool last = length >= options_.max_new_tokens;
  std::vector<Beam> going, ended;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const Candidate& candidate = candidates[i];
    Beam beam{running_[candidate.beam].ids, candidate.score, candidate.beam};
    beam.ids.push_back(candidate.id);
    const bool eos = std::find(options_.eos_ids.begin(), options_.eos_ids.end(), candidate.id) != options_.eos_ids.end();
    const bool stopped = (stops && stops(beam.ids)) || eos;
    if ((stopped || last) && static_cast<int64_t>(i) < options_.num_beams) keep(beam, stopped);
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
  const int64_t length = longest ? options_.max_new_tokens : new_tokens();
  return normalised(running_.front().score, length, options_.length_penalty) > finished_.back().score;
}

std::vector<Generated> BeamSearch::answers() {
  std::vector<Generated> answers;
  for (size_t i = 0; i < finished_.size() && static_cast<int64_t>(i) < options_.num_return_sequences; ++i)
    answers.push_back(std::move(finished_[i].answer));
  return answers;
}

}  // namespace dept
