#include "dept/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "dept/base/error.h"
#include "dept/base/json.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr double polynomial_end = 1e-7;
constexpr double steps_without_warmup = 10000;  // inverse_sqrt's timescale

struct Named {
  const char* name;
  std::vector<std::string> takes;  // of lr_scheduler_kwargs
};

// In the order of Kind.
const std::vector<Named>& all() {
  static const std::vector<Named> schedules = {
      {"linear", {}},
      {"cosine", {"num_cycles"}},
      {"cosine_with_restarts", {"num_cycles"}},
      {"polynomial", {"lr_end", "power"}},
      {"constant", {}},
      {"constant_with_warmup", {}},
      {"inverse_sqrt", {"timescale"}},
      {"cosine_with_min_lr", {"num_cycles", "min_lr", "min_lr_rate"}},
      {"cosine_warmup_with_min_lr", {"num_cycles", "min_lr", "min_lr_rate", "warmup_lr_rate"}},
      {"warmup_stable_decay",
       {"num_decay_steps", "num_stable_steps", "warmup_type", "decay_type", "min_lr_ratio", "num_cycles"}}};
  return schedules;
}

size_t index_of(std::string_view name) {
  const auto found = std::find_if(all().begin(), all().end(), [&](const Named& known) { return known.name == name; });
  if (found == all().end()) fail(Code::usage, "lr_scheduler_type", "one of " + join(schedule_names(), ", "), quote(name));
  return static_cast<size_t>(found - all().begin());
}

void check_shape(const std::optional<std::string>& shape, const char* key) {
  if (shape && *shape != "linear" && *shape != "cosine" && *shape != "1-sqrt")
    fail(Code::usage, str("lr_scheduler_kwargs: ", key), "linear, cosine or 1-sqrt", quote(*shape));
}

void check_complete(std::string_view name, const ScheduleArguments& given) {
  if (name.ends_with("_with_min_lr") && given.min_lr.has_value() == given.min_lr_rate.has_value())
    fail(Code::usage, "lr_scheduler_kwargs", str("min_lr or min_lr_rate for ", name), given.min_lr ? "both" : "neither");
  if (name == "warmup_stable_decay" && !given.num_decay_steps)
    fail(Code::usage, "lr_scheduler_kwargs", "num_decay_steps for warmup_stable_decay", "none");
  check_shape(given.warmup_type, "warmup_type");
  check_shape(given.decay_type, "decay_type");
}

}  // namespace

const std::vector<std::string>& schedule_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const Named& known : all()) list.emplace_back(known.name);
    return list;
  }();
  return names;
}

ScheduleArguments parse_schedule_arguments(std::string_view name, const std::string& json) {
  const std::string where = "lr_scheduler_kwargs";
  const Json object = json.empty() ? Json::object() : parse_json(json, where);
  if (!object.is_object()) fail(Code::usage, where, "a JSON object", quote(json));
  const std::vector<std::string>& takes = all()[index_of(name)].takes;
  for (const auto& [key, unused] : object.items())
    if (std::find(takes.begin(), takes.end(), key) == takes.end())
      fail(Code::usage, where, takes.empty() ? str("nothing for ", name) : str(join(takes, ", "), " for ", name), quote(key));
  ScheduleArguments given;
  const std::pair<const char*, std::optional<double>*> numbers[] = {{"num_cycles", &given.num_cycles},
                                                                    {"power", &given.power},
                                                                    {"lr_end", &given.lr_end},
                                                                    {"timescale", &given.timescale},
                                                                    {"min_lr", &given.min_lr},
                                                                    {"min_lr_rate", &given.min_lr_rate},
                                                                    {"warmup_lr_rate", &given.warmup_lr_rate},
                                                                    {"num_decay_steps", &given.num_decay_steps},
                                                                    {"num_stable_steps", &given.num_stable_steps},
                                                                    {"min_lr_ratio", &given.min_lr_ratio}};
  for (const auto& [key, value] : numbers)
    if (object.contains(key)) *value = require<double>(object, key, where);
  for (const auto& [key, value] : {std::pair{"warmup_type", &given.warmup_type}, {"decay_type", &given.decay_type}})
    if (object.contains(key)) *value = require<std::string>(object, key, where);
  check_complete(name, given);
  return given;
}

Schedule::Schedule(std::string_view name, int64_t warmup_steps, int64_t total_steps, double learning_rate,
                   const ScheduleArguments& arguments)
    : kind_(static_cast<Kind>(index_of(name))),
      warmup_(static_cast<double>(warmup_steps)),
      total_(static_cast<double>(total_steps)),
      last_rate_(0),
      cycles_(arguments.num_cycles.value_or(kind_ == Kind::cosine_with_restarts ? 1 : 0.5)),
      arguments_(arguments) {
  check_complete(name, arguments);
  if (kind_ == Kind::polynomial) last_rate_ = arguments.lr_end.value_or(polynomial_end) / learning_rate;
  if (arguments.min_lr) last_rate_ = *arguments.min_lr / learning_rate;
  if (arguments.min_lr_rate) last_rate_ = *arguments.min_lr_rate;
  if (arguments.min_lr_ratio) last_rate_ = *arguments.min_lr_ratio;
  if (kind_ == Kind::polynomial && !(last_rate_ < 1))
    fail(Code::usage, "learning_rate", str("more than polynomial's last rate, ", arguments.lr_end.value_or(polynomial_end)),
         str(learning_rate));
}

double Schedule::factor(int64_t steps) const {
  const auto done = static_cast<double>(steps);
  return done < warmup_ ? rising(done) : falling(done);
}

double Schedule::rising(double done) const {
  const double share = done / std::max(1.0, warmup_);
  if (kind_ == Kind::constant) return 1;
  if (kind_ == Kind::cosine_warmup_with_min_lr) {
    if (!arguments_.warmup_lr_rate) return (done + 1) / std::max(1.0, warmup_);
    return *arguments_.warmup_lr_rate + (1 - *arguments_.warmup_lr_rate) * done / std::max(1.0, warmup_ - 1);
  }
  if (kind_ != Kind::warmup_stable_decay) return share;
  const std::string shape = arguments_.warmup_type.value_or("linear");
  const double rise = shape == "linear"   ? share
                      : shape == "cosine" ? 0.5 * (1 - std::cos(std::numbers::pi * share))
                                          : 1 - std::sqrt(1 - share);
  return std::max(0.0, rise * (1 - last_rate_) + last_rate_);
}

// Down to the last rate in half a cosine, or as many cycles as asked for.
double Schedule::half_cosine(double progress) const {
  const double fall = 0.5 * (1 + std::cos(std::numbers::pi * cycles_ * 2 * progress));
  return std::max(0.0, fall * (1 - last_rate_) + last_rate_);
}

double Schedule::stable_then_decay(double done) const {
  const double decay = *arguments_.num_decay_steps, stable = arguments_.num_stable_steps.value_or(total_ - warmup_ - decay);
  if (done < warmup_ + stable) return 1;
  if (done >= warmup_ + stable + decay) return last_rate_;
  const double progress = (done - warmup_ - stable) / std::max(1.0, decay);
  const std::string shape = arguments_.decay_type.value_or("cosine");
  if (shape == "cosine") return half_cosine(progress);
  const double fall = 1 - (shape == "linear" ? progress : std::sqrt(progress));
  return std::max(0.0, fall * (1 - last_rate_) + last_rate_);
}

double Schedule::falling(double done) const {
  const double span = std::max(1.0, total_ - warmup_), progress = (done - warmup_) / span;
  switch (kind_) {
    case Kind::constant:
    case Kind::constant_with_warmup:
      return 1;
    case Kind::linear:
      return std::max(0.0, (total_ - done) / span);
    case Kind::cosine:
    case Kind::cosine_with_min_lr:
      return half_cosine(progress);
    case Kind::cosine_with_restarts:
      return progress >= 1 ? 0 : std::max(0.0, 0.5 * (1 + std::cos(std::numbers::pi * std::fmod(cycles_ * progress, 1.0))));
    case Kind::cosine_warmup_with_min_lr:
      return half_cosine((done - warmup_ + 1) / span);
    case Kind::polynomial: {
      const double left = done > total_ || total_ <= warmup_ ? 0 : 1 - (done - warmup_) / (total_ - warmup_);
      return (1 - last_rate_) * std::pow(left, arguments_.power.value_or(1)) + last_rate_;
    }
    case Kind::inverse_sqrt: {
      const double timescale = arguments_.timescale.value_or(warmup_ > 0 ? warmup_ : steps_without_warmup);
      return 1 / std::sqrt((done + timescale - warmup_) / timescale);
    }
    case Kind::warmup_stable_decay:
      return stable_then_decay(done);
  }
  return 1;
}

int64_t warmup_steps(int64_t steps, double ratio, int64_t total_steps) {
  return steps > 0 ? steps : static_cast<int64_t>(std::ceil(ratio * static_cast<double>(total_steps)));
}

}  // namespace dept
