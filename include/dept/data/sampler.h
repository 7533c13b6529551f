// The order in which training visits its examples, equal to HF Trainer's to the index.
#pragma once

#include <ATen/core/Generator.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace dept {

/// torch.randperm(n) from a CPU generator, redrawn per epoch, one extra permutation drawn and dropped at each epoch's end.
/// Seeded with data_seed when that is given, else with the first int64 random_() after manual_seed(seed).
class EpochSampler {
 public:
  /// `draws`: permutations that an epoch takes from the generator, the first is its order; one alone under group_by_length.
  EpochSampler(int64_t examples, uint64_t generator_seed, int64_t draws = 2);
  static uint64_t generator_seed(uint64_t seed);  ///< 42 -> 6909045637428952499

  /// The permutation of the epoch at hand.
  const std::vector<int64_t>& order() const { return order_; }
  int64_t epoch() const { return epoch_; }
  void next_epoch();

  /// Generator state from before the epoch's permutation was drawn (bytes), and back. Throws bad_input for bytes that are none.
  std::string state() const;
  void restore(const std::string& state, int64_t epoch);

 private:
  void draw();
  int64_t examples_, draws_;
  int64_t epoch_ = 0;
  at::Generator generator_;
  std::string state_before_;
  std::vector<int64_t> order_;
};

/// torch.randperm(n, generator=torch.Generator().manual_seed(seed)).
std::vector<int64_t> seeded_permutation(int64_t n, uint64_t seed);

/// The order with examples of like length together, as transformers' group_by_length makes it of a random one: sorted by
/// falling length within stretches of up to 50 batches, the longest example first.
std::vector<int64_t> group_by_length(const std::vector<int64_t>& order, std::span<const int64_t> lengths, int64_t batch);

/// An epoch's order in slices of `size` (at least 1), the last one perhaps shorter. The slices point into `order`.
std::vector<std::span<const int64_t>> batches(std::span<const int64_t> order, size_t size);

}  // namespace dept
