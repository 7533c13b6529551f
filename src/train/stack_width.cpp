#include "dept/train/stack_width.h"

#include <algorithm>

#include "dept/base/log.h"
#include "dept/base/memory.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr int samples_of_a_width = 4;
constexpr size_t first_widths = 4, most = 64;
constexpr double worth = 0.95;    // a wider pass is tried as long as doubling left no more than this of a token's time
constexpr double clearly = 0.98;  // and taken where it is quicker than this

}  // namespace

void StackWidth::before_step() {
  if (!settled_ && resident_ == 0) resident_ = resident_memory();
}

void StackWidth::measured(size_t runs, const PassCost& cost) {
  if (settled_ || cost.tokens <= 0) return;
  if (runs * 2 <= width_ || runs > width_) return;  // too few are left to fill this width
  Samples& samples = samples_[width_];
  const double seconds = cost.seconds / cost.tokens;
  if (samples.count > 0) samples.seconds = samples.count == 1 ? seconds : std::min(samples.seconds, seconds);
  if (++samples.count == samples_of_a_width) widen();
}

// To twice the width while that may pay; else to the one that cost least.
void StackWidth::widen() {
  const auto cost = [&](size_t width) { return samples_.at(width).seconds; };
  const bool slower = width_ > 1 && cost(width_) > cost(width_ / 2) / worth;
  const bool pays = width_ < first_widths ? !slower : cost(width_) < worth * cost(width_ / 2);
  if (pays && width_ < most && has_room()) {
    width_ *= 2;
    return;
  }
  size_t best = 1;
  for (const auto& [width, samples] : samples_)
    if (samples.count == samples_of_a_width && cost(width) < clearly * cost(best)) best = width;
  width_ = best;
  settled_ = true;
  log::info(str("passes of ", best, best == 1 ? " run" : " runs", " cost least"));
}

// Whether memory lasts for as many runs again, each of which takes what those so far took.
bool StackWidth::has_room() const {
  constexpr double reserve = 1.5;
  return available_memory() > reserve * (peak_resident_memory() - resident_);
}

}  // namespace dept
