#include "dept/base/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/option_values.h"
#include "base/other_names.h"
#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/text.h"

namespace dept {
namespace {

std::string underscored(std::string_view name) {
  std::string out(name);
  std::replace(out.begin(), out.end(), '-', '_');
  return out;
}

bool is_bool(const Option& option) {
  return std::holds_alternative<bool*>(option.target) || std::holds_alternative<std::optional<bool>*>(option.target);
}
bool is_list(const Option& option) {
  return std::holds_alternative<std::vector<std::string>*>(option.target);
}

// Negative numbers and a lone "-" (standard input) are values.
bool looks_like_flag(std::string_view argument) {
  return argument.size() > 1 && argument[0] == '-' && argument[1] != '.' && !(argument[1] >= '0' && argument[1] <= '9');
}

bool is_bool_text(const std::string& text) {
  return parse_bool(text).has_value();
}

std::string placeholder(const Option& option) {
  if (is_bool(option)) return "[true|false]";
  if (!option.form.empty()) return option.form;
  std::string choices;
  for (const std::string& choice : option.allowed) choices += (choices.empty() ? "" : "|") + choice;
  if (!choices.empty() && choices.size() <= 30) return choices;
  return option_kind(option);
}

constexpr int most_values = 1 << 16;  // of a list or of positional arguments
constexpr size_t help_column = 44, help_width = 120;

// The words of `text` from column help_column on, in lines of help_width.
void append_wrapped(std::string& out, size_t column, const std::string& text) {
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (column > help_column && column + 1 + word.size() > help_width) {
      out += '\n';
      column = 0;
    }
    const size_t gap = column < help_column ? help_column - column : 1;
    out += std::string(gap, ' ') + word;
    column += gap + word.size();
  }
  out += '\n';
}

}  // namespace

void OptionSet::section(std::string title) {
  section_ = std::move(title);
}

Option& OptionSet::add(std::string name, OptionTarget target, std::string help) {
  if (find(name) != nullptr) fail(Code::bug, "OptionSet", "each option once", str(name, " twice"));
  Option& option = options_.emplace_back();
  option.name = std::move(name);
  option.target = target;
  option.help = std::move(help);
  option.section = section_;
  option.default_text = option_text(option);
  return option;
}

void OptionSet::ignore(std::string name, std::string why) {
  ignored_.push_back({std::move(name), std::move(why)});
}

void OptionSet::take_changed_as_given() {
  for (Option& option : options_) option.given = option.given || option_text(option) != option.default_text;
}

const Option* OptionSet::find(std::string_view name) const {
  return const_cast<OptionSet*>(this)->lookup(name);
}

Option* OptionSet::lookup(std::string_view name) {
  const std::string wanted = underscored(name);
  for (Option& option : options_) {
    if (option.name == wanted) return &option;
    if (std::find(option.aliases.begin(), option.aliases.end(), wanted) != option.aliases.end()) return &option;
  }
  return nullptr;
}

bool OptionSet::given(std::string_view name) const {
  const Option* option = find(name);
  return option != nullptr && option->given;
}

bool OptionSet::ignored(std::string_view name) {
  const std::string wanted = underscored(name);
  for (Ignored& entry : ignored_)
    if (entry.name == wanted) return entry.given = true;
  return false;
}

void OptionSet::leave_out(std::initializer_list<std::string_view> options_or_sections,
                          std::initializer_list<std::string_view> used, const std::string& why) {
  const auto among = [](std::initializer_list<std::string_view> names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  for (Option& option : options_) {
    const bool named = among(options_or_sections, option.name) || among(options_or_sections, option.section);
    if (named && !among(used, option.name)) option.idle = why;
  }
}

void OptionSet::set_aside(std::string key) {
  aside_.push_back(std::move(key));
}

void OptionSet::lead(std::initializer_list<std::string_view> names, const std::string& instead) {
  for (const std::string_view name : names) leads_.emplace_back(name, instead);
}

// What to say of an unknown name. The option that it leads to counts as given: nothing else is to be said of its absence.
std::string OptionSet::hint(const std::string& name, std::string_view prefix) {
  for (const auto& [other, instead] : leads_)
    if (other == name) return str(" (", instead, ")");
  if (Option* meant = lookup(name); meant != nullptr) {  // with one dash
    meant->given = true;
    return str(" (the nearest is ", prefix, name, ")");
  }
  const Option* idle = nullptr;
  for (const std::string_view ours : names_here(name)) {
    Option* option = lookup(ours);
    if (option != nullptr && option->idle.empty()) {
      option->given = true;
      return str(" (here it is ", prefix, option->name, ")");
    }
    if (option != nullptr) idle = option;
  }
  if (idle != nullptr) return str(" (here it is ", prefix, idle->name, ", without effect: ", idle->idle, ")");
  std::vector<std::string> names;
  for (const Option& option : options_) {
    if (!option.idle.empty()) continue;
    names.push_back(option.name);
    names.insert(names.end(), option.aliases.begin(), option.aliases.end());
  }
  const std::string nearest = nearest_name(name, names);
  if (nearest.empty()) return "";
  lookup(nearest)->given = true;
  return str(" (the nearest is ", prefix, nearest, ")");
}

void OptionSet::fail_unknown(std::string_view where, std::string_view name, std::string_view prefix) {
  fail(Code::usage, where, "a known option" + hint(underscored(name), prefix), "an unknown one");
}

void OptionSet::assign(Option& option, const OptionValue& value, std::string_view where, bool store, Problems& problems) {
  problems.attempt([&] { assign_option(option, value, where, store); });
  option.given = true;
}

void OptionSet::assign(std::string_view name, const OptionValue& value, std::string_view where, bool store, Problems& problems) {
  if (Option* option = lookup(name); option != nullptr)
    assign(*option, value, where, store, problems);
  else
    problems.attempt([&] { fail_unknown(where, name, ""); });
}

// The arguments in the one form that CLI11 is to read: known flags by their own names, each with a value behind it.
std::vector<std::string> OptionSet::normalised(const std::vector<std::string>& arguments, Problems& problems) {
  std::vector<std::string> out;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--") {
      out.insert(out.end(), arguments.begin() + static_cast<ptrdiff_t>(i), arguments.end());
      break;
    }
    if (!looks_like_flag(argument)) {
      out.push_back(argument);
      continue;
    }
    const size_t equals = argument.find('=');
    const bool with_value = equals != std::string::npos, long_form = argument[1] == '-';
    const std::string flag = argument.substr(0, equals);
    const std::string name = flag.substr(long_form ? 2 : 1);
    const std::string* next = i + 1 < arguments.size() && !looks_like_flag(arguments[i + 1]) ? &arguments[i + 1] : nullptr;
    Option* option = long_form ? lookup(name) : nullptr;
    if (option == nullptr) {
      if (!long_form || !ignored(name)) problems.attempt([&] { fail_unknown(flag, name, "--"); });
      if (!with_value && next != nullptr) ++i;
      continue;
    }
    if (is_bool(*option) && !with_value) {
      const bool takes_next = next != nullptr && is_bool_text(*next);
      out.insert(out.end(), {"--" + option->name, takes_next ? *next : "true"});
      i += takes_next;
    } else if (!with_value && next == nullptr) {
      problems.attempt([&] { fail(Code::usage, flag, option_expects(*option), "nothing"); });
      option->given = true;
    } else {
      out.push_back("--" + option->name);
      if (with_value) out.push_back(argument.substr(equals + 1));
    }
  }
  return out;
}

std::vector<std::string> OptionSet::parse_flags(const std::vector<std::string>& arguments) {
  Problems problems;
  std::vector<std::string> positionals = parse_flags(arguments, problems);
  problems.raise();
  return positionals;
}

void OptionSet::parse_file(const fs::path& path) {
  Problems problems;
  parse_file(path, problems);
  problems.raise();
}

std::vector<std::string> OptionSet::parse_flags(const std::vector<std::string>& arguments, Problems& problems) {
  CLI::App app;
  app.set_help_flag("");
  const auto unread = [](const CLI::results_t&) { return true; };  // we convert the texts ourselves
  CLI::Option* positionals = app.add_option("arguments", unread)->expected(0, most_values)->allow_extra_args();
  std::vector<std::pair<Option*, CLI::Option*>> flags;
  for (Option& option : options_) {
    CLI::Option* flag = app.add_option("--" + option.name, unread);
    if (is_list(option)) {
      flag->expected(1, most_values);
      if (option.commas) flag->delimiter(',');
    } else {
      flag->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    }
    flags.emplace_back(&option, flag);
  }
  std::vector<std::string> reversed = normalised(arguments, problems);
  std::reverse(reversed.begin(), reversed.end());
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    fail(Code::usage, "command line", "flags as --help lists them", error.what());
  }
  for (const auto& [option, flag] : flags) {
    if (flag->count() == 0) continue;
    OptionValue value;
    if (is_list(*option)) {
      value.kind = OptionValue::Kind::list;
      for (const std::string& text : flag->results()) value.items.push_back({OptionValue::Kind::flag, text, {}});
    } else {
      value = {OptionValue::Kind::flag, flag->results().back(), {}};
    }
    assign(*option, value, "--" + option->name, true, problems);
    option->by_flag = true;
  }
  return positionals->results();
}

void OptionSet::parse_file(const fs::path& path, Problems& problems) {
  std::vector<OptionEntry> entries;
  files_.push_back(path);
  if (!problems.attempt([&] { entries = read_option_file(path); }))
    for (Option& option : options_) option.given = true;  // nothing that it may hold is missing
  std::vector<const Option*> seen;
  for (const OptionEntry& entry : entries) {
    Option* option = lookup(entry.key);
    if (option == nullptr) {
      if (std::find(aside_.begin(), aside_.end(), entry.key) != aside_.end()) continue;
      if (!ignored(entry.key)) problems.attempt([&] { fail_unknown(entry.where, entry.key, ""); });
    } else if (std::find(seen.begin(), seen.end(), option) != seen.end()) {
      problems.attempt([&] { fail(Code::usage, entry.where, "each option once", "it twice"); });
    } else {
      seen.push_back(option);
      assign(*option, entry.value, entry.where, !option->by_flag, problems);
    }
  }
}

void OptionSet::warn_of_idle_flags() {
  for (const Ignored& entry : ignored_)
    if (entry.given) log::warn(str("--", entry.name, " has no effect: ", entry.why));
  for (const Option& option : options_)
    if (option.by_flag && !option.idle.empty()) log::warn(str("--", option.name, " has no effect: ", option.idle));
}

void OptionSet::warn_idle(std::string_view name, std::string_view why) const {
  if (given(name)) log::warn(str("--", name, " has no effect: ", why));
}

std::string OptionSet::help(std::string_view usage, std::string_view examples) const {
  std::string out(usage);
  const std::string* section = nullptr;
  for (const Option& option : options_) {
    if (!option.idle.empty()) continue;
    if (section == nullptr || *section != option.section)
      out += str("\n", option.section.empty() ? "Options" : option.section, ":\n");
    section = &option.section;
    const std::string left = str("  --", option.name, " ", placeholder(option));
    std::string text = option.help;
    if (const std::string range = option_range(option); !range.empty()) text += str(" (", range, ")");
    if (!option.default_text.empty() && option.default_text != "null" && option.default_text != "\"\"" &&
        option.default_text != "[]")
      text += str(" [", option.default_text, "]");
    for (const std::string& alias : option.aliases) text += str("; also --", alias);
    out += left;
    if (left.size() + 1 >= help_column) out += '\n';
    append_wrapped(out, left.size() + 1 >= help_column ? 0 : left.size(), text);
  }
  return examples.empty() ? out : str(out, "\nExamples:\n", examples);
}

std::string OptionSet::dump_yaml() const {
  std::string out;
  for (const Option& option : options_) out += str(option.name, ": ", option_text(option), "\n");
  return out;
}

OrderedJson OptionSet::dump_json() const {
  OrderedJson out = OrderedJson::object();
  for (const Option& option : options_) out[option.name] = option_json(option);
  return out;
}

}  // namespace dept
