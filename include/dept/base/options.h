// One description of each option (name, type, default, help, range) that drives flags, YAML/JSON files, --help and --dump_config.
//
//   struct BenchOptions { int64_t steps = 10; std::string dtype = "fp32"; };
//   void describe(BenchOptions& o, OptionSet& set) {
//     set.section("Bench");
//     set.add("steps", o.steps, "measured steps").min(1);
//     set.add("dtype", o.dtype, "compute type").choices({"fp32", "bf16"});
//   }
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "dept/base/json.h"

namespace dept {

/// Where an option's value lives; the pointee is owned by the option struct.
using OptionTarget = std::variant<bool*, int64_t*, double*, std::string*, std::vector<std::string>*, std::optional<int64_t>*,
                                  std::optional<double>*, std::optional<std::string>*, std::optional<bool>*>;

struct Option {
  std::string name;  // with underscores
  OptionTarget target;
  std::string help;
  std::string section;
  std::vector<std::string> aliases;
  std::vector<std::string> allowed;
  std::optional<double> low, high;
  std::string default_text;  // rendered when described
  bool commas = true;        // of a list: a flag's value may be several, by commas
  bool given = false;        // set by a flag or a file
  bool by_flag = false;      // set by a flag, which no file overrides

  Option& alias(std::string other) {
    aliases.push_back(std::move(other));
    return *this;
  }
  /// A comma is part of a list's value, as in the name of a file.
  Option& whole_values() {
    commas = false;
    return *this;
  }
  Option& choices(std::vector<std::string> values) {
    allowed = std::move(values);
    return *this;
  }
  Option& min(double value) {
    low = value;
    return *this;
  }
  Option& max(double value) {
    high = value;
    return *this;
  }
};

class OptionSet {
 public:
  /// Following options belong to this section of --help.
  void section(std::string title);
  Option& add(std::string name, OptionTarget target, std::string help);
  /// `value` holds the default and receives what is read; it must outlive this set.
  template <class T>
  requires std::is_constructible_v<OptionTarget, T*> Option& add(std::string name, T& value, std::string help) {
    return add(std::move(name), OptionTarget(&value), std::move(help));
  }
  /// A flag of the original that has no effect here; takes an optional value, warns once with `why`.
  void ignore(std::string name, std::string why);

  const Option* find(std::string_view name) const;  // name or alias, dashes or underscores; null when there is none
  bool given(std::string_view name) const;

  /// Reads `--flag value`, `--flag=value`, bare booleans (`--do_train`, `--do_train false`), lists as repeated flags,
  /// comma-separated or space-separated values. A value that begins with a dash needs the `=` form. Of a repeated scalar the
  /// last counts. Returns the positional arguments. Throws usage naming the flag, what was expected and the nearest known name.
  std::vector<std::string> parse_flags(const std::vector<std::string>& arguments);
  /// Applies a flat mapping from a .yaml, .yml or .json file, strictly: unknown or repeated keys and wrong types throw usage with
  /// the file's name; a file that is no YAML or JSON throws bad_input. Flags win, given before or after.
  void parse_file(const fs::path& path);

  std::string help(std::string_view usage) const;
  /// All options with their present values, in order, as a mapping that parse_file reads back.
  std::string dump_yaml() const;
  OrderedJson dump_json() const;

 private:
  struct Ignored {
    std::string name, why;
    bool warned = false;
  };
  Option* lookup(std::string_view name);
  bool ignored(std::string_view name, bool warn);
  [[noreturn]] void fail_unknown(std::string_view where, std::string_view name, std::string_view prefix) const;
  std::vector<std::string> normalised(const std::vector<std::string>& arguments);

  std::string section_;
  std::deque<Option> options_;
  std::vector<Ignored> ignored_;
};

}  // namespace dept
