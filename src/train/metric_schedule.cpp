#include "dept/train/metric_schedule.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr const char* kwargs = "lr_scheduler_kwargs";
constexpr const char* plateau_name = "reduce_lr_on_plateau";
constexpr const char* greedy_name = "greedy";

const std::vector<std::string>& taken(bool greedy) {
  static const std::vector<std::string> plateau = {"mode",           "factor",   "patience", "threshold",
                                                   "threshold_mode", "cooldown", "min_lr",   "eps"};
  static const std::vector<std::string> all = [] {
    std::vector<std::string> names = plateau;
    names.insert(names.end(), {"warmup", "max_lr", "smooth", "window_size", "reset_start", "verbose"});
    return names;
  }();
  return greedy ? all : plateau;
}

// One of two words; true for the first.
bool first_of(const Json& object, const char* key, const char* yes, const char* no, bool absent) {
  const auto word = value_or<std::string>(object, key, absent ? yes : no, kwargs);
  if (word != yes && word != no) fail(Code::usage, str(kwargs, ": ", key), str(yes, " or ", no), quote(word));
  return word == yes;
}

double worst(const MetricScheduleArguments& arguments) {
  const double infinity = std::numeric_limits<double>::infinity();
  return arguments.greater_is_better ? -infinity : infinity;
}

}  // namespace

const std::vector<std::string>& metric_schedule_names() {
  static const std::vector<std::string> names = {plateau_name, greedy_name};
  return names;
}

bool follows_metric(std::string_view schedule) {
  return schedule == plateau_name || schedule == greedy_name;
}

MetricScheduleArguments parse_metric_schedule(std::string_view name, const std::string& json, bool greater_is_better) {
  const Json object = json.empty() ? Json::object() : parse_json(json, kwargs);
  if (!object.is_object()) fail(Code::usage, kwargs, "a JSON object", quote(json));
  MetricScheduleArguments a;
  a.greedy = name == greedy_name;
  const std::vector<std::string>& takes = taken(a.greedy);
  for (const auto& [key, unused] : object.items())
    if (std::find(takes.begin(), takes.end(), key) == takes.end())
      fail(Code::usage, kwargs, str(join(takes, ", "), " for ", name), quote(key));
  if (a.greedy) std::tie(a.factor, a.threshold, a.min_lr) = std::tuple(0.95, 1e-6, 1e-3);
  a.greater_is_better = first_of(object, "mode", "max", "min", greater_is_better);
  a.relative = first_of(object, "threshold_mode", "rel", "abs", !a.greedy);
  for (const auto& [key, value] : {std::pair{"factor", &a.factor},
                                   {"threshold", &a.threshold},
                                   {"min_lr", &a.min_lr},
                                   {"eps", &a.eps},
                                   {"max_lr", &a.max_lr}})
    *value = value_or<double>(object, key, *value, kwargs);
  for (const auto& [key, value] : {std::pair{"patience", &a.patience},
                                   {"cooldown", &a.cooldown},
                                   {"warmup", &a.warmup},
                                   {"window_size", &a.window_size},
                                   {"reset_start", &a.reset_start}})
    *value = value_or<int64_t>(object, key, *value, kwargs);
  a.smooth = value_or<bool>(object, "smooth", false, kwargs);
  if (!(a.factor > 0 && a.factor < 1)) fail(Code::usage, str(kwargs, ": factor"), "a number between 0 and 1", str(a.factor));
  if (a.window_size < 1) fail(Code::usage, str(kwargs, ": window_size"), "at least 1", str(a.window_size));
  return a;
}

MetricSchedule::MetricSchedule(const MetricScheduleArguments& arguments, const Rates& start)
    : arguments_(arguments), start_(start), rates_(start), best_(worst(arguments)), reset_left_(arguments.reset_start) {}

void MetricSchedule::evaluated(double metric) {
  if (arguments_.greedy)
    follow_greedily(smoothed(metric));
  else
    follow_plateau(metric);
}

// The mean of the newest window_size values.
double MetricSchedule::smoothed(double metric) {
  if (!arguments_.smooth) return metric;
  window_.push_back(metric);
  window_sum_ += metric;
  if (static_cast<int64_t>(window_.size()) > arguments_.window_size) {
    window_sum_ -= window_.front();
    window_.erase(window_.begin());
  }
  return window_sum_ / static_cast<double>(window_.size());
}

bool MetricSchedule::better(double metric) const {
  const double t = arguments_.threshold;
  if (arguments_.greater_is_better) return metric > (arguments_.relative ? best_ * (1 + t) : best_ + t);
  return metric < (arguments_.relative ? best_ * (1 - t) : best_ - t);
}

void MetricSchedule::count(bool better) {
  bad_ = better ? 0 : bad_ + 1;
  good_ = better ? good_ + 1 : 0;
}

void MetricSchedule::follow_plateau(double metric) {
  const bool is_better = better(metric);
  if (is_better) best_ = metric;
  count(is_better);
  if (cooldown_left_ > 0) {
    --cooldown_left_;
    bad_ = 0;
  }
  if (bad_ <= arguments_.patience) return;
  lower();
  cooldown_left_ = arguments_.cooldown;
  bad_ = 0;
}

void MetricSchedule::follow_greedily(double metric) {
  if (cooldown_left_ > 0 || warmup_left_ > 0) {
    --(cooldown_left_ > 0 ? cooldown_left_ : warmup_left_);
    bad_ = good_ = 0;
    return;
  }
  const bool is_better = better(metric);
  if (is_better) best_ = metric;
  count(is_better);
  if (good_ > arguments_.patience) {
    raise();
    warmup_left_ = arguments_.warmup;
    good_ = 0;
  } else if (bad_ > arguments_.patience) {
    lower();
    cooldown_left_ = arguments_.cooldown;
    bad_ = 0;
  }
}

void MetricSchedule::lower() {
  bool at_last = arguments_.greedy;
  for (double& rate : rates_) {
    const double lower = std::max(rate * arguments_.factor, arguments_.min_lr);
    if (rate - lower > arguments_.eps) rate = lower;
    at_last &= rate <= arguments_.min_lr;
  }
  if (at_last && --reset_left_ <= 0) begin_anew();
}

void MetricSchedule::raise() {
  for (double& rate : rates_) {
    const double higher = std::min(rate / arguments_.factor, arguments_.max_lr);
    if (higher - rate > arguments_.eps) rate = higher;
  }
  reset_left_ = arguments_.reset_start;
}

void MetricSchedule::begin_anew() {
  *this = MetricSchedule(arguments_, start_);
}

namespace {

// A rate of the visual embedding that is the prompt's, as it is without one, is left out: it goes the same way.
std::vector<double> written_rates(const Rates& rates) {
  return {rates.begin(), rates.end() - (rates.back() == rates.front() ? 1 : 0)};
}

}  // namespace

OrderedJson MetricSchedule::state() const {
  return {{"rates", written_rates(rates_)},
          {"best", std::isfinite(best_) ? OrderedJson(best_) : OrderedJson(nullptr)},
          {"bad", bad_},
          {"good", good_},
          {"cooldown_left", cooldown_left_},
          {"warmup_left", warmup_left_},
          {"reset_left", reset_left_},
          {"window", window_},
          {"window_sum", window_sum_}};
}

void MetricSchedule::restore(const Json& state, const std::string& where) {
  const auto rates = require<std::vector<double>>(state, "rates", where);
  const bool whole = rates.size() == rates_.size();
  if (!whole && rates.size() + 1 != rates_.size())
    fail(Code::bad_input, where + ": rates", str(rates_.size(), " numbers"), str(rates.size()));
  std::copy(rates.begin(), rates.end(), rates_.begin());
  if (!whole) rates_.back() = rates_.front();
  best_ = state.contains("best") && !state["best"].is_null() ? require<double>(state, "best", where) : worst(arguments_);
  for (const auto& [key, value] : {std::pair{"bad", &bad_},
                                   {"good", &good_},
                                   {"cooldown_left", &cooldown_left_},
                                   {"warmup_left", &warmup_left_},
                                   {"reset_left", &reset_left_}})
    *value = require<int64_t>(state, key, where);
  window_ = require<std::vector<double>>(state, "window", where);
  window_sum_ = require<double>(state, "window_sum", where);
}

}  // namespace dept
