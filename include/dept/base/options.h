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
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "dept/base/json.h"
#include "dept/base/problems.h"

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
  std::string form;                                         // what --help shows in the place of a value; "": by type
  std::function<std::string(const std::string&)> expected;  // of a text: what is wanted in its place, "" where it is fine
  std::string default_text;                                 // rendered when described
  bool commas = true;                                       // of a list: a flag's value may be several, by commas
  bool given = false;                                       // set by a flag or a file
  bool by_flag = false;                                     // set by a flag, which no file overrides
  std::string idle;                                         // why the command does not use it; "": it does

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
  /// A text of this form, which `rule` evaluates.
  Option& rule(std::string shown, std::function<std::string(const std::string&)> check) {
    form = std::move(shown);
    expected = std::move(check);
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

struct OptionValue;

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
  /// A flag of the original that has no effect here; takes an optional value, is named once with `why`.
  void ignore(std::string name, std::string why);
  /// This command does not use these options, or all of a section but for `used`: --help leaves them out, and one that is given
  /// as a flag is named with `why`. A recipe may hold them, as it serves several commands.
  void leave_out(std::initializer_list<std::string_view> options_or_sections, std::initializer_list<std::string_view> used,
                 const std::string& why);
  /// Leads from a name that somebody may try to what is to be done instead.
  void lead(std::initializer_list<std::string_view> names, const std::string& instead);

  /// Options whose value was changed since they were described count as given: for structs that a program filled in.
  void take_changed_as_given();

  /// A key of a file that parse_file leaves to read_option_tree.
  void set_aside(std::string key);

  const Option* find(std::string_view name) const;  // name or alias, dashes or underscores; null when there is none
  /// By a flag or a file, also with a wrong value or under a name that leads to it.
  bool given(std::string_view name) const;
  const std::deque<Option>& options() const { return options_; }

  /// Reads `--flag value`, `--flag=value`, bare booleans (`--do_train`, `--do_train false`), lists as repeated flags,
  /// comma-separated or space-separated values. A value that begins with a dash needs the `=` form. Of a repeated scalar the
  /// last counts. Returns the positional arguments. Each mistake is a problem that names the flag, what was expected and, for an
  /// unknown flag, what it is called here or the nearest known name.
  std::vector<std::string> parse_flags(const std::vector<std::string>& arguments, Problems& problems);
  /// Applies a flat mapping from a .yaml, .yml or .json file, strictly: unknown or repeated keys and wrong types are problems
  /// with the file's name and the line (YAML); so is a file that is no YAML or JSON (bad_input). A list takes a single value.
  /// Flags win, given before or after.
  void parse_file(const fs::path& path, Problems& problems);
  /// The same, with all problems thrown at the end.
  std::vector<std::string> parse_flags(const std::vector<std::string>& arguments);
  void parse_file(const fs::path& path);

  /// Gives an option a value from elsewhere; without `store` it is only checked. An unknown name is a problem too.
  void assign(std::string_view name, const OptionValue& value, std::string_view where, bool store, Problems& problems);
  /// The files that parse_file was given.
  const std::vector<fs::path>& files() const { return files_; }

  /// Logs a warning for each flag without effect that was given.
  void warn_of_idle_flags();
  /// Logs that the option, where it was given, has no effect, and why.
  void warn_idle(std::string_view name, std::string_view why) const;

  /// `usage`, each section's options, `examples`.
  std::string help(std::string_view usage, std::string_view examples = "") const;
  /// All options with their present values, in order, as a mapping that parse_file reads back.
  std::string dump_yaml() const;
  OrderedJson dump_json() const;

 private:
  struct Ignored {
    std::string name, why;
    bool given = false;
  };
  Option* lookup(std::string_view name);
  bool ignored(std::string_view name);
  [[noreturn]] void fail_unknown(std::string_view where, std::string_view name, std::string_view prefix);
  std::string hint(const std::string& name, std::string_view prefix);
  std::vector<std::string> normalised(const std::vector<std::string>& arguments, Problems& problems);
  void assign(Option& option, const OptionValue& value, std::string_view where, bool store, Problems& problems);

  std::string section_;
  std::deque<Option> options_;
  std::vector<Ignored> ignored_;
  std::vector<std::string> aside_;
  std::vector<fs::path> files_;
  std::vector<std::pair<std::string, std::string>> leads_;  // a name, and what is to be done instead
};

}  // namespace dept
