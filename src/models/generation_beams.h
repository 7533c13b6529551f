// The beam search of one source, as transformers does it since its vectorised rewrite, or with listed_beams as it did before.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "dept/models/generation.h"

namespace dept {

class BeamSearch {
 public:
  using Stops = std::function<bool(std::span<const int64_t> ids)>;

  /// `limit`: the most new tokens of its answers.
  BeamSearch(const GenerationOptions& options, int64_t limit) : options_(options), limit_(limit) {}

  struct Beam {
    std::vector<int64_t> ids;
    float score;    ///< sum of log p
    size_t parent;  ///< its place among the beams before
  };
  /// The beams that go on: one without ids at first, then num_beams, the best first.
  const std::vector<Beam>& running() const { return running_; }
  int64_t new_tokens() const { return static_cast<int64_t>(running_.front().ids.size()); }

  struct Candidate {
    size_t beam;
    int64_t id;
    float score;
  };
  /// How many candidates advance() wants: enough for num_beams of them to go on whatever the end tokens take.
  static int64_t candidates(const GenerationOptions& options);
  /// One step: the best continuations of all running beams, best first (or as drawn). Only the first num_beams may finish.
  /// `place`: among the searches that go on side by side, which listed_beams looks at.
  void advance(const std::vector<Candidate>& candidates, const Stops& stops, size_t place);
  /// No better answer is to come.
  bool done() const { return done_; }
  /// The num_return_sequences best, the best first.
  std::vector<Generated> answers();

 private:
  struct Finished {
    Generated answer;
    double score;
  };
  void advance_listed(const std::vector<Candidate>& candidates, size_t place);
  void keep_listed(const Beam& beam, bool stopped);
  double listed_score(double sum, int64_t length) const;
  bool is_eos(int64_t id) const;
  void keep(const Beam& beam, bool stopped);
  bool can_improve() const;

  const GenerationOptions& options_;
  int64_t limit_;
  std::vector<Beam> running_{{{}, 0, 0}};
  std::vector<Finished> finished_;  // at most num_beams, the best first
  bool improvable_ = true, done_ = false;
};

/// Where beams go on when each goes on from a parent: the first child of a parent takes over its slot, the others get copies in
/// slots that no child wants.
struct SlotMoves {
  std::vector<int64_t> slots;     ///< of the beams that go on
  std::vector<int64_t> from, to;  ///< what is to be copied
};
SlotMoves moves_to(std::span<const int64_t> slots, std::span<const size_t> parents);

}  // namespace dept
