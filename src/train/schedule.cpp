#include "dept/train/schedule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {

/// The factors after warm-up.
struct Decays {
  static double progress(const Schedule& s, double steps) { return (steps - s.warmup_) / std::max(1.0, s.total_ - s.warmup_); }

  static double constant(const Schedule&, double) { return 1; }
  static double linear(const Schedule& s, double steps) {
    return std::max(0.0, (s.total_ - steps) / std::max(1.0, s.total_ - s.warmup_));
  }
  static double cosine(const Schedule& s, double steps) {
    return std::max(0.0, 0.5 * (1 + std::cos(std::numbers::pi * progress(s, steps))));
  }
  // With one cycle, its default, the restart falls on the last step.
  static double cosine_with_restarts(const Schedule& s, double steps) { return progress(s, steps) >= 1 ? 0 : cosine(s, steps); }
  static constexpr double polynomial_end = 1e-7;
  static double polynomial(const Schedule& s, double steps) {
    const double left = steps > s.total_ || s.total_ <= s.warmup_ ? 0 : 1 - (steps - s.warmup_) / (s.total_ - s.warmup_);
    return ((s.learning_rate_ - polynomial_end) * left + polynomial_end) / s.learning_rate_;
  }
  static double inverse_sqrt(const Schedule& s, double steps) {
    const double timescale = s.warmup_ > 0 ? s.warmup_ : 10000;
    return 1 / std::sqrt((steps + timescale - s.warmup_) / timescale);
  }

  struct Named {
    const char* name;
    Schedule::Decay decay;
  };
  static constexpr std::array<Named, 7> all{{{"linear", linear},
                                             {"cosine", cosine},
                                             {"cosine_with_restarts", cosine_with_restarts},
                                             {"polynomial", polynomial},
                                             {"constant", constant},
                                             {"constant_with_warmup", constant},
                                             {"inverse_sqrt", inverse_sqrt}}};
};

const std::vector<std::string>& schedule_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const auto& known : Decays::all) list.emplace_back(known.name);
    return list;
  }();
  return names;
}

Schedule::Schedule(std::string_view name, int64_t warmup_steps, int64_t total_steps, double learning_rate)
    : warms_up_(name != "constant"),
      warmup_(static_cast<double>(warmup_steps)),
      total_(static_cast<double>(total_steps)),
      learning_rate_(learning_rate) {
  const auto found = std::find_if(Decays::all.begin(), Decays::all.end(), [&](const auto& known) { return known.name == name; });
  if (found == Decays::all.end()) {
    std::string names;
    for (const std::string& known : schedule_names()) names += (names.empty() ? "" : ", ") + known;
    fail(Code::usage, "lr_scheduler_type", "one of " + names, quote(name));
  }
  decay_ = found->decay;
  if (decay_ == Decays::polynomial && learning_rate <= Decays::polynomial_end)
    fail(Code::usage, "learning_rate", str("more than polynomial's last rate, ", Decays::polynomial_end), str(learning_rate));
}

double Schedule::factor(int64_t steps) const {
  const auto done = static_cast<double>(steps);
  return warms_up_ && done < warmup_ ? done / std::max(1.0, warmup_) : decay_(*this, done);
}

int64_t warmup_steps(int64_t steps, double ratio, int64_t total_steps) {
  return steps > 0 ? steps : static_cast<int64_t>(std::ceil(ratio * static_cast<double>(total_steps)));
}

}  // namespace dept
