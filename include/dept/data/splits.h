// How one table becomes two or fewer rows: to the index as in the original (arXiv 2309.05173's code).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace dept {

/// numpy.random.default_rng(seed).permutation(n): SeedSequence and PCG64 (O'Neill 2014). n < 2^32 - 1.
std::vector<int64_t> numpy_permutation(int64_t n, uint64_t seed);

/// k / classes of each class in the order given; -1 is no class. `odd_last` as the original has it: the last of the k is taken
/// from any class, so that k = 4 of two classes may give 1 and 3. Returns places in `classes`, ascending; fewer where they run
/// out.
std::vector<size_t> choose_k_shot(std::span<const int64_t> classes, int64_t class_count, int64_t k, bool odd_last);

/// Places of ceil(share * n) of n rows, ascending, stratified: each class (0 or more) gives its part of them by largest remainder
/// (the first class where remainders are equal), and keeps a row where it can. Of each class those come first that come first in
/// numpy_permutation(n, seed). At least one row is chosen and one is left: n >= 2.
std::vector<size_t> choose_share(std::span<const int64_t> classes, double share, uint64_t seed);

}  // namespace dept
