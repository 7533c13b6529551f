#include "models/generation_choice.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/topk.h>

#include <algorithm>

namespace dept {
namespace {

// The sum of log p of every beam's every continuation [sources, beams V].
at::Tensor continuation_scores(const at::Tensor& logits, std::span<const BeamSource> sources, const GenerationOptions& options) {
  const at::Tensor log_p = at::log_softmax(logits.to(at::kFloat), 1).cpu().contiguous();
  std::vector<float> so_far;
  int64_t row = 0;
  for (const BeamSource& source : sources) {
    for (const BeamSearch::Beam& beam : source.search->running()) {
      const auto made = static_cast<int64_t>(beam.ids.size());
      if (has_processors(options, made)) {
        std::vector<int64_t> history = *source.counted;
        history.insert(history.end(), beam.ids.begin(), beam.ids.end());
        process_scores(row_of(log_p, row), history, made, options);
      }
      if (options.do_sample) warp_scores(row_of(log_p, row), options, 1 + static_cast<int64_t>(options.eos_ids.size()));
      so_far.push_back(beam.score);
      ++row;
    }
  }
  return (log_p + at::tensor(so_far).unsqueeze(1)).view({static_cast<int64_t>(sources.size()), -1});
}

}  // namespace

std::span<float> row_of(const at::Tensor& scores, int64_t row) {
  const int64_t vocab = scores.size(1);
  return {scores.data_ptr<float>() + row * vocab, static_cast<size_t>(vocab)};
}

bool is_eos(const GenerationOptions& options, int64_t id) {
  return std::find(options.eos_ids.begin(), options.eos_ids.end(), id) != options.eos_ids.end();
}

int64_t choose_token(std::span<float> scores, std::span<const int64_t> history, const GenerationOptions& options,
                     const DrawKey& key) {
  if (has_processors(options, key.step)) process_scores(scores, history, key.step, options);
  if (!options.do_sample) return std::max_element(scores.begin(), scores.end()) - scores.begin();
  warp_scores(scores, options, 1);
  return draw(scores, key.uniform());
}

// A draw without replacement takes those with the largest log p + Gumbel noise.
std::vector<std::vector<BeamSearch::Candidate>> beam_candidates(const at::Tensor& logits, std::span<const BeamSource> sources,
                                                                const GenerationOptions& options) {
  const at::Tensor scores = continuation_scores(logits, sources, options);
  at::Tensor keys = scores;
  if (options.do_sample) {
    keys = scores.clone();
    for (size_t i = 0; i < sources.size(); ++i) {
      const DrawKey key{options.seed, sources[i].example, 0, sources[i].search->new_tokens()};
      keys[static_cast<int64_t>(i)] += at::tensor(key.gumbel(scores.size(1)));
    }
  }
  const int64_t count = BeamSearch::candidates(options);
  const at::Tensor places = std::get<1>(at::topk(keys, count, 1)), values = scores.gather(1, places);
  const int64_t vocab = logits.size(1);
  std::vector<std::vector<BeamSearch::Candidate>> candidates(sources.size());
  for (size_t i = 0; i < sources.size(); ++i) {
    for (int64_t c = 0; c < count; ++c) {
      const int64_t at = static_cast<int64_t>(i) * count + c, place = places.const_data_ptr<int64_t>()[at];
      candidates[i].push_back({static_cast<size_t>(place / vocab), place % vocab, values.const_data_ptr<float>()[at]});
    }
  }
  return candidates;
}

}  // namespace dept
