#include "sweep/spec.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/metrics.h"

namespace dept {
namespace {

using Kind = OptionValue::Kind;

// A sweep sets these itself.
constexpr std::array own_options = {"output_dir",  "overwrite_output_dir", "resume_from_checkpoint", "logging_dir", "do_train",
                                    "do_eval",     "do_predict",           "do_predict_all",         "push_to_hub", "ranks",
                                    "rank_timeout"};

const std::vector<std::string> methods = {"grid", "random", "halving"};
const std::vector<std::string> distributions = {"categorical", "constant", "uniform", "log_uniform_values", "int_uniform"};

std::string text_of(const OptionTree& tree) {
  switch (tree.value.kind) {
    case Kind::null:
      return "nothing";
    case Kind::list:
      return "a list";
    case Kind::nested:
      return tree.mapping ? "a mapping" : "a nested list";
    default:
      return quote(tree.value.text);
  }
}

bool is_scalar(const OptionTree& tree) {
  return tree.value.kind == Kind::plain || tree.value.kind == Kind::quoted;
}

template <class T>
std::optional<T> number_in(const OptionTree& tree) {
  T value{};
  const std::string& text = tree.value.text;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (tree.value.kind != Kind::plain || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if constexpr (std::is_floating_point_v<T>)
    if (!std::isfinite(value)) return std::nullopt;
  return value;
}

std::string one_of(const std::vector<std::string>& names, const std::string& given) {
  const std::string nearest = nearest_name(given, names);
  return str("one of ", join(names, ", "), nearest.empty() ? "" : str(" (the nearest is ", nearest, ")"));
}

class Reader {
 public:
  Reader(OptionSet& set, Problems& problems) : set_(set), problems_(problems) {}

  SweepSpec read(const OptionTree& tree) {
    if (!keys_of(tree, {"method", "metric", "parameters", "repeat", "run_cap", "seed", "early_terminate", "budget", "stack"}))
      return spec_;
    if (const OptionTree* method = tree.find("method")) spec_.method = static_cast<SweepMethod>(choice(*method, methods));
    if (const OptionTree* metric = tree.find("metric")) read_metric(*metric);
    if (const OptionTree* cap = tree.find("run_cap")) spec_.run_cap = whole(*cap, 1);
    if (const OptionTree* seed = tree.find("seed")) spec_.seed = static_cast<uint64_t>(whole(*seed, 0).value_or(0));
    read_parameters(tree);
    if (const OptionTree* repeat = tree.find("repeat")) read_repeat(*repeat);
    read_halving(tree);
    if (const OptionTree* budget = tree.find("budget")) read_budget(*budget);
    if (const OptionTree* stack = tree.find("stack"); stack != nullptr && stack->value.text != "auto")
      spec_.stack = whole(*stack, 1, "auto, or a whole number of at least 1").value_or(1);
    if (spec_.method == SweepMethod::random && tree.find("run_cap") == nullptr)
      problem(str(tree.where, ".run_cap"), "how many are drawn, for method random", "nothing");
    return spec_;
  }

 private:
  void problem(const std::string& where, const std::string& expected, const std::string& received) {
    problems_.attempt([&] { fail(Code::usage, where, expected, received); });
  }

  // Whether it is a mapping; names the keys that it should not have.
  bool keys_of(const OptionTree& tree, const std::vector<std::string>& known) {
    if (!tree.mapping) {
      problem(tree.where, str("a mapping of ", join(known, ", ")), text_of(tree));
      return false;
    }
    for (const auto& [key, member] : tree.members)
      if (std::find(known.begin(), known.end(), key) == known.end()) problem(member.where, one_of(known, key), "an unknown key");
    return true;
  }

  size_t choice(const OptionTree& tree, const std::vector<std::string>& names) {
    const auto found = std::find(names.begin(), names.end(), tree.value.text);
    if (is_scalar(tree) && found != names.end()) return static_cast<size_t>(found - names.begin());
    problem(tree.where, one_of(names, tree.value.text), text_of(tree));
    return 0;
  }

  std::optional<int64_t> whole(const OptionTree& tree, int64_t least, const std::string& expected = "") {
    const std::optional<int64_t> value = number_in<int64_t>(tree);
    if (value && *value >= least) return value;
    problem(tree.where, expected.empty() ? str("a whole number of at least ", least) : expected, text_of(tree));
    return std::nullopt;
  }

  void read_metric(const OptionTree& tree) {
    if (!keys_of(tree, {"name", "goal"})) return;
    if (const OptionTree* goal = tree.find("goal")) spec_.maximize = choice(*goal, {"maximize", "minimize"}) == 0;
    const OptionTree* name = tree.find("name");
    if (name == nullptr) return;
    std::vector<std::string> names = metric_names();
    names.insert(names.begin(), "loss");
    spec_.metric = name->value.text.rfind("eval_", 0) == 0 ? name->value.text.substr(5) : name->value.text;
    if (!is_scalar(*name) || std::find(names.begin(), names.end(), spec_.metric) == names.end())
      problem(name->where, one_of(names, spec_.metric), text_of(*name));
  }

  void read_parameters(const OptionTree& tree) {
    const OptionTree* parameters = tree.find("parameters");
    if (parameters == nullptr || !parameters->mapping || parameters->members.empty()) {
      problem(parameters == nullptr ? str(tree.where, ".parameters") : parameters->where,
              "options and their values, as in learning_rate: {values: [0.3, 0.4]}",
              parameters == nullptr ? "nothing" : text_of(*parameters));
      return;
    }
    for (const auto& [name, axis] : parameters->members) read_axis(name, axis);
  }

  void read_axis(const std::string& name, const OptionTree& tree) {
    const Option* option = set_.find(name);
    if (option == nullptr) return set_.assign(name, {}, tree.where, false, problems_);  // says what it may be called
    if (std::find(own_options.begin(), own_options.end(), option->name) != own_options.end())
      return problem(tree.where, "an option that may differ between runs, as the sweep sets this one itself", "an axis");
    if (find_axis(option->name) != nullptr || is_unsound(option->name))
      return problem(tree.where, "each axis once", str(option->name, " twice"));
    if (option->by_flag) problem(str("--", option->name), "no value, as it is an axis of the sweep", "one");
    Axis axis;
    axis.option = option->name;
    if (keys_of(tree, {"values", "value", "min", "max", "distribution"}) && fill(axis, tree))
      spec_.axes.push_back(std::move(axis));
    else
      spec_.unsound.push_back(option->name);
  }

  // False: it has a problem.
  bool fill(Axis& axis, const OptionTree& tree) {
    const OptionTree *values = tree.find("values"), *value = tree.find("value"), *low = tree.find("min"),
                     *high = tree.find("max");
    const int forms = (values != nullptr) + (value != nullptr) + (low != nullptr || high != nullptr);
    if (forms != 1) {
      problem(tree.where, "values, a value, or min and max", forms == 0 ? "none of them" : "several of them");
      return false;
    }
    const OptionTree* named = tree.find("distribution");
    const bool range = low != nullptr || high != nullptr;
    if (range && (low == nullptr || high == nullptr)) {
      problem(tree.where, "min and max", low == nullptr ? "no min" : "no max");
      return false;
    }
    axis.distribution = values != nullptr                                       ? Distribution::categorical
                        : value != nullptr                                      ? Distribution::constant
                        : number_in<int64_t>(*low) && number_in<int64_t>(*high) ? Distribution::int_uniform
                                                                                : Distribution::uniform;
    if (named != nullptr) {
      const std::vector<std::string> fitting = range ? std::vector<std::string>{"uniform", "log_uniform_values", "int_uniform"}
                                               : values != nullptr ? std::vector<std::string>{"categorical"}
                                                                   : std::vector<std::string>{"constant"};
      const size_t place = choice(*named, fitting);
      axis.distribution = static_cast<Distribution>(place + (range ? 2 : value != nullptr ? 1 : 0));
    }
    return range ? fill_range(axis, *low, *high, tree.where) : fill_values(axis, values != nullptr ? *values : *value);
  }

  bool fill_values(Axis& axis, const OptionTree& tree) {
    if (axis.distribution == Distribution::constant) {
      axis.values = {tree.value};
    } else if (tree.value.kind == Kind::list || (tree.value.kind == Kind::nested && !tree.mapping)) {
      axis.values = tree.value.items;
    }
    if (axis.values.empty()) {
      problem(tree.where, "a list of values", tree.value.kind == Kind::list ? "an empty one" : text_of(tree));
      return false;
    }
    bool good = true;
    for (const OptionValue& value : axis.values) good = check(axis, value, tree.where) && good;
    return good;
  }

  bool fill_range(Axis& axis, const OptionTree& low, const OptionTree& high, const std::string& where) {
    if (spec_.method == SweepMethod::grid || (spec_.method == SweepMethod::halving && !spec_.run_cap))
      problem(where, "values, as a grid takes each of them", "a range");
    const auto lowest = number_in<double>(low), highest = number_in<double>(high);
    if (!lowest) problem(low.where, "a number", text_of(low));
    if (!highest) problem(high.where, "a number", text_of(high));
    if (!lowest || !highest) return false;
    axis.low = *lowest, axis.high = *highest;
    bool good = axis.low <= axis.high;
    if (!good) problem(where, "a min that is not above max", str("min ", low.value.text, ", max ", high.value.text));
    if (axis.distribution == Distribution::log_uniform_values && axis.low <= 0) {
      problem(low.where, "more than 0, which has a logarithm", low.value.text);
      good = false;
    }
    if (axis.distribution == Distribution::int_uniform) {
      const auto from = number_in<int64_t>(low), to = number_in<int64_t>(high);
      if (!from) problem(low.where, "a whole number for int_uniform", low.value.text);
      if (!to) problem(high.where, "a whole number for int_uniform", high.value.text);
      if (!from || !to) return false;
      axis.whole_low = *from, axis.whole_high = *to;
    }
    good = check(axis, low.value, low.where) && good;
    good = check(axis, high.value, high.where) && good;
    return check_kind(axis, where) && good;
  }

  // A range of numbers for an option that takes numbers of this kind.
  bool check_kind(const Axis& axis, const std::string& where) {
    const OptionTarget& target = set_.find(axis.option)->target;
    const bool whole = std::holds_alternative<int64_t*>(target) || std::holds_alternative<std::optional<int64_t>*>(target);
    const bool number = std::holds_alternative<double*>(target) || std::holds_alternative<std::optional<double>*>(target);
    if (number || (whole && axis.distribution == Distribution::int_uniform)) return true;
    problem(where, whole ? "int_uniform, as the option is a whole number" : "values, as the option is no number", "a range");
    return false;
  }

  bool check(const Axis& axis, const OptionValue& value, const std::string& where) {
    Problems own;
    set_.assign(axis.option, value, where, false, own);
    return problems_.attempt([&] { own.raise(); });
  }

  const Axis* find_axis(const std::string& option) const {
    const auto found =
        std::find_if(spec_.axes.begin(), spec_.axes.end(), [&](const Axis& axis) { return axis.option == option; });
    return found == spec_.axes.end() ? nullptr : &*found;
  }

  bool is_unsound(const std::string& option) const {
    return std::find(spec_.unsound.begin(), spec_.unsound.end(), option) != spec_.unsound.end();
  }

  void read_repeat(const OptionTree& tree) {
    std::vector<OptionValue> names = tree.value.items;
    if (is_scalar(tree)) names = {tree.value};
    if (names.empty() || tree.value.kind == Kind::nested) return problem(tree.where, "a list of axes", text_of(tree));
    for (const OptionValue& given : names) {
      const Option* option = set_.find(given.text);
      const Axis* axis = option == nullptr ? nullptr : find_axis(option->name);
      if (option != nullptr && is_unsound(option->name)) continue;
      if (axis == nullptr)
        problem(tree.where, "axes of this sweep", quote(given.text) + ", which is none");
      else if (!axis->listed())
        problem(tree.where, "axes with values, which each row has all of", str(axis->option, ", which is a range"));
      else if (divides(axis->option))
        problem(tree.where, "axes within a task", axis->option);
      else if (!spec_.repeats(axis->option))
        spec_.repeat.push_back(axis->option);
    }
  }

  void read_halving(const OptionTree& tree) {
    const OptionTree* early = tree.find("early_terminate");
    if (early != nullptr && keys_of(*early, {"min_iter", "eta"})) {
      if (const OptionTree* eta = early->find("eta")) spec_.eta = whole(*eta, 2).value_or(2);
      if (const OptionTree* first = early->find("min_iter")) spec_.min_iter = whole(*first, 1).value_or(1);
    }
    if (spec_.method == SweepMethod::halving && spec_.min_iter == 0)
      problem(str(tree.where, ".early_terminate.min_iter"), "the steps of the first rung, for method halving", "nothing");
  }

  void read_budget(const OptionTree& tree) {
    if (!keys_of(tree, {"steps", "minutes"})) return;
    if (const OptionTree* steps = tree.find("steps")) spec_.budget_steps = whole(*steps, 1);
    if (const OptionTree* minutes = tree.find("minutes")) {
      spec_.budget_minutes = number_in<double>(*minutes);
      if (!spec_.budget_minutes || *spec_.budget_minutes <= 0) problem(minutes->where, "a number above 0", text_of(*minutes));
    }
  }

  OptionSet& set_;
  Problems& problems_;
  SweepSpec spec_;
};

}  // namespace

bool SweepSpec::repeats(const std::string& option) const {
  return std::find(repeat.begin(), repeat.end(), option) != repeat.end();
}

SweepSpec read_sweep_spec(const OptionTree& tree, OptionSet& set, Problems& problems) {
  return Reader(set, problems).read(tree);
}

bool divides(const std::string& option) {
  return option == "task_name" || option == "train_file";
}

}  // namespace dept
