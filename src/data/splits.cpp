#include "dept/data/splits.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numeric>
#include <utility>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

using uint128 = unsigned __int128;

// NumPy's SeedSequence for one integer: a pool of four words, hashed and mixed, from which the generator's state is drawn.
class SeedSequence {
 public:
  explicit SeedSequence(uint64_t entropy) {
    const std::array<uint32_t, 2> words = {static_cast<uint32_t>(entropy), static_cast<uint32_t>(entropy >> 32)};
    for (size_t i = 0; i < pool_.size(); ++i) pool_[i] = hash(i < words.size() ? words[i] : 0);
    for (size_t from = 0; from < pool_.size(); ++from)
      for (size_t to = 0; to < pool_.size(); ++to)
        if (from != to) pool_[to] = mix(pool_[to], hash(pool_[from]));
  }

  std::array<uint64_t, 4> state() const {
    std::array<uint64_t, 4> out{};
    uint32_t factor = 0x8B51F9DD;
    for (size_t i = 0; i < 8; ++i) {
      uint32_t word = pool_[i % pool_.size()] ^ factor;
      factor *= 0x58F38DED;
      word *= factor;
      word ^= word >> 16;
      out[i / 2] |= uint64_t{word} << (i % 2 * 32);
    }
    return out;
  }

 private:
  uint32_t hash(uint32_t word) {
    word ^= factor_;
    factor_ *= 0x931E8875;
    word *= factor_;
    return word ^ word >> 16;
  }
  static uint32_t mix(uint32_t a, uint32_t b) {
    const uint32_t word = a * 0xCA01F9DD - b * 0x4973F715;
    return word ^ word >> 16;
  }
  std::array<uint32_t, 4> pool_{};
  uint32_t factor_ = 0x43B0D7E5;
};

// PCG XSL RR 128/64, whose 64-bit draws serve as two of 32 bits, the low half first.
class Pcg64 {
 public:
  explicit Pcg64(uint64_t seed) {
    const std::array<uint64_t, 4> words = SeedSequence(seed).state();
    increment_ = (uint128{words[2]} << 64 | words[3]) << 1 | 1;
    step();
    state_ += uint128{words[0]} << 64 | words[1];
    step();
  }

  /// Uniform in [0, bound]: draws, cut to the bound's bits, until one is within it.
  uint32_t below(uint32_t bound) {
    const auto mask = static_cast<uint32_t>(std::bit_ceil(uint64_t{bound} + 1) - 1);
    uint32_t drawn = next32() & mask;
    while (drawn > bound) drawn = next32() & mask;
    return drawn;
  }

 private:
  void step() { state_ = state_ * (uint128{0x2360ED051FC65DA4} << 64 | 0x4385DF649FCCF645) + increment_; }

  uint64_t next64() {
    step();
    const auto folded = static_cast<uint64_t>(state_ >> 64) ^ static_cast<uint64_t>(state_);
    const auto turn = static_cast<uint32_t>(state_ >> 122);
    return folded >> turn | folded << ((64 - turn) & 63);
  }

  uint32_t next32() {
    has_half_ = !has_half_;
    if (!has_half_) return half_;
    const uint64_t word = next64();
    half_ = static_cast<uint32_t>(word >> 32);
    return static_cast<uint32_t>(word);
  }

  uint128 state_ = 0, increment_ = 0;
  bool has_half_ = false;
  uint32_t half_ = 0;
};

}  // namespace

std::vector<int64_t> numpy_permutation(int64_t n, uint64_t seed) {
  if (n < 0 || n >= UINT32_MAX) fail(Code::bad_input, "permutation", "fewer than 2^32 - 1 rows", str(n));
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  Pcg64 generator(seed);
  for (size_t i = order.size(); i-- > 1;) std::swap(order[i], order[generator.below(static_cast<uint32_t>(i))]);
  return order;
}

namespace {

// How many of each class's rows are among `wanted` of all.
std::vector<size_t> quotas(const std::vector<size_t>& counts, size_t wanted, size_t rows) {
  std::vector<size_t> quota, order(counts.size());
  size_t given = 0;
  for (const size_t count : counts) given += quota.emplace_back(wanted * count / rows);
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return wanted * counts[a] % rows > wanted * counts[b] % rows; });
  const auto hand_out = [&](size_t kept) {
    const size_t before = given;
    for (const size_t c : order)
      if (given < wanted && quota[c] + kept < counts[c]) ++quota[c], ++given;
    return given > before;
  };
  while (given < wanted && hand_out(1)) continue;
  while (given < wanted && hand_out(0)) continue;
  return quota;
}

}  // namespace

std::vector<size_t> choose_share(std::span<const int64_t> classes, double share, uint64_t seed) {
  const size_t rows = classes.size();
  const auto wanted = std::clamp<size_t>(static_cast<size_t>(std::ceil(share * static_cast<double>(rows))), 1, rows - 1);
  std::vector<size_t> counts;
  for (const int64_t c : classes) {
    counts.resize(std::max(counts.size(), static_cast<size_t>(c) + 1), 0);
    ++counts[static_cast<size_t>(c)];
  }
  std::vector<size_t> left = quotas(counts, wanted, rows), places;
  for (const int64_t place : numpy_permutation(static_cast<int64_t>(rows), seed)) {
    size_t& of_class = left[static_cast<size_t>(classes[static_cast<size_t>(place)])];
    if (of_class == 0) continue;
    --of_class;
    places.push_back(static_cast<size_t>(place));
  }
  std::sort(places.begin(), places.end());
  return places;
}

std::vector<size_t> choose_k_shot(std::span<const int64_t> classes, int64_t class_count, int64_t k, bool odd_last) {
  std::vector<int64_t> taken(static_cast<size_t>(class_count), 0);
  std::vector<size_t> places;
  for (size_t i = 0; i < classes.size() && static_cast<int64_t>(places.size()) < k; ++i) {
    if (classes[i] < 0) continue;
    int64_t& of_class = taken[static_cast<size_t>(classes[i])];
    const bool last = odd_last && static_cast<int64_t>(places.size()) == k - 1;
    if (of_class >= k / class_count && !last) continue;
    ++of_class;
    places.push_back(i);
  }
  return places;
}

}  // namespace dept
