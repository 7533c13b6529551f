#include "sweep/plan.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "dept/base/error.h"
#include "dept/base/file.h"
#include "dept/base/philox.h"
#include "dept/base/text.h"

namespace dept {
namespace {

using Kind = OptionValue::Kind;
constexpr uint64_t most_runs = 10'000;
constexpr size_t longest_name = 120;

std::string number_text(double value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

// 64 random bits; their high 53 as a number of [0, 1).
uint64_t random_bits(uint64_t seed, uint64_t draw, uint32_t axis) {
  const Philox4 block = philox({static_cast<uint32_t>(draw), static_cast<uint32_t>(draw >> 32), axis, 0}, seed);
  return (uint64_t{block[0]} << 32) | block[1];
}
double unit(uint64_t bits) {
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

// floor(bits / 2^64 * count) without rounding.
uint64_t below(uint64_t bits, uint64_t count) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<uint64_t>((Wide{bits} * count) >> 64);
}

int64_t whole_between(int64_t low, int64_t high, uint64_t bits) {
  const uint64_t count = static_cast<uint64_t>(high) - static_cast<uint64_t>(low) + 1;  // 0: all of 2^64
  return static_cast<int64_t>(static_cast<uint64_t>(low) + (count == 0 ? bits : below(bits, count)));
}

// Whether each draw has a run for every value of it.
bool is_crossed(const SweepSpec& spec, const Axis& axis) {
  return axis.listed() && (divides(axis.option) || spec.repeats(axis.option));
}

// The values of the axes that are listed, as nested loops; others get an empty value.
std::vector<std::vector<OptionValue>> nested_loops(const SweepSpec& spec, const std::function<bool(const Axis&)>& loops) {
  std::vector<std::vector<OptionValue>> list = {{}};
  for (const Axis& axis : spec.axes) {
    const std::vector<OptionValue> values = loops(axis) ? axis.values : std::vector<OptionValue>{OptionValue()};
    if (list.size() * values.size() > most_runs)
      fail(Code::usage, "sweep.parameters", str("at most ", most_runs, " runs"), "more");
    std::vector<std::vector<OptionValue>> longer;
    for (const auto& run : list)
      for (const OptionValue& value : values) {
        longer.push_back(run);
        longer.back().push_back(value);
      }
    list = std::move(longer);
  }
  return list;
}

std::vector<std::vector<OptionValue>> drawn(const SweepSpec& spec) {
  const auto crossed = nested_loops(spec, [&](const Axis& axis) { return is_crossed(spec, axis); });
  const auto cap = static_cast<uint64_t>(*spec.run_cap);
  if (cap > most_runs) fail(Code::usage, "sweep.run_cap", str("at most ", most_runs), str(cap));
  std::vector<std::vector<OptionValue>> list;
  for (uint64_t place = 0; place < cap; ++place) {
    std::vector<OptionValue> run = crossed[place % crossed.size()];
    for (uint32_t axis = 0; axis < spec.axes.size(); ++axis)
      if (!is_crossed(spec, spec.axes[axis])) run[axis] = draw_value(spec.axes[axis], spec.seed, place / crossed.size(), axis);
    list.push_back(std::move(run));
  }
  return list;
}

// A number that was drawn has many digits.
std::string short_text(const Axis& axis, const OptionValue& value) {
  if (value.kind == Kind::null) return "none";
  if (value.kind == Kind::list) {
    std::vector<std::string> items;
    for (const OptionValue& item : value.items) items.push_back(fs::path(item.text).stem().string());
    return join(items, "+");
  }
  if (axis.listed() || axis.distribution == Distribution::int_uniform) {
    const bool file = axis.option.size() > 5 && axis.option.rfind("_file") == axis.option.size() - 5;
    return file ? fs::path(value.text).stem().string() : value.text;
  }
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", std::stod(value.text));
  return text;
}

std::string file_name(const std::string& text) {
  std::string name;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    name += plain || std::string_view("._+-").find(c) != std::string_view::npos ? c : '-';
  }
  if (!name.empty() && name[0] == '.') name[0] = '-';
  return name;
}

// Names of equal wishes get numbers, long ones are cut.
class Names {
 public:
  std::string take(const std::string& wish) {
    constexpr size_t room = 10;  // for a number
    const std::string name = wish.size() > longest_name - room ? wish.substr(0, longest_name - room) : wish;
    for (int64_t number = 1;; ++number) {
      const std::string candidate = number == 1 ? name : str(name, "-", number);
      if (taken_.insert(candidate).second) return candidate;
    }
  }

 private:
  std::set<std::string> taken_;
};

// One name for each different list of values.
class Groups {
 public:
  std::string name(const std::vector<const Axis*>& axes, const std::vector<const OptionValue*>& values, const std::string& none) {
    if (axes.empty()) return none;
    std::string key;
    for (const OptionValue* value : values) key += key_of(*value) + '\n';
    const auto found = known_.find(key);
    return found != known_.end() ? found->second : known_[key] = names_.take(name_of(axes, values));
  }

 private:
  static std::string key_of(const OptionValue& value) {
    std::string key = str(static_cast<int>(value.kind), ":", value.text.size(), ":", value.text);
    for (const OptionValue& item : value.items) key += key_of(item);
    return key;
  }
  std::map<std::string, std::string> known_;
  Names names_;
};

}  // namespace

OptionValue draw_value(const Axis& axis, uint64_t seed, uint64_t draw, uint32_t axis_number) {
  const uint64_t bits = random_bits(seed, draw, axis_number);
  const auto plain = [](std::string text) { return OptionValue{Kind::plain, std::move(text), {}}; };
  switch (axis.distribution) {
    case Distribution::categorical:
    case Distribution::constant:
      return axis.values[below(bits, axis.values.size())];
    case Distribution::int_uniform:
      return plain(std::to_string(whole_between(axis.whole_low, axis.whole_high, bits)));
    case Distribution::uniform:
      return plain(number_text(std::clamp(axis.low + unit(bits) * (axis.high - axis.low), axis.low, axis.high)));
    case Distribution::log_uniform_values:
      break;
  }
  const double low = std::log(axis.low), high = std::log(axis.high);
  return plain(number_text(std::clamp(std::exp(low + unit(bits) * (high - low)), axis.low, axis.high)));
}

std::string name_of(const std::vector<const Axis*>& axes, const std::vector<const OptionValue*>& values) {
  std::vector<std::string> parts;
  for (size_t i = 0; i < axes.size(); ++i) parts.push_back(short_text(*axes[i], *values[i]));
  const std::string name = file_name(join(parts, "_"));
  return name.empty() ? "empty" : name;
}

std::vector<PlannedRun> plan_runs(const SweepSpec& spec) {
  const bool draws = spec.method != SweepMethod::grid && spec.run_cap;
  const auto all = draws ? drawn(spec) : nested_loops(spec, [](const Axis&) { return true; });
  Names names;
  Groups tasks, rows;
  std::vector<PlannedRun> runs;
  for (const std::vector<OptionValue>& values : all) {
    const auto chosen = [&](const std::function<bool(const Axis&)>& wanted, Groups* groups, const std::string& none) {
      std::vector<const Axis*> axes;
      std::vector<const OptionValue*> of_axes;
      for (size_t i = 0; i < spec.axes.size(); ++i)
        if (wanted(spec.axes[i])) axes.push_back(&spec.axes[i]), of_axes.push_back(&values[i]);
      if (groups != nullptr) return groups->name(axes, of_axes, none);
      return names.take(axes.empty() ? none : name_of(axes, of_axes));
    };
    PlannedRun run;
    run.name = chosen([](const Axis& axis) { return axis.distribution != Distribution::constant; }, nullptr, "run");
    run.task = chosen([](const Axis& axis) { return divides(axis.option); }, &tasks, "");
    run.row = spec.repeat.empty() ? run.name : chosen([&](const Axis& axis) { return !spec.repeats(axis.option); }, &rows, "all");
    run.values = values;
    runs.push_back(std::move(run));
  }
  return runs;
}

}  // namespace dept
