// One option's value: as text from a flag or a file, into the option's target, and back to text.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dept/base/option_tree.h"
#include "dept/base/options.h"

namespace dept {

/// No recipe is larger.
inline constexpr uint64_t max_option_file_bytes = 1 << 20;

/// A key of a file; `where` is "FILE: line 3: KEY" in YAML, "FILE: KEY" in JSON.
struct OptionEntry {
  std::string key, where;
  OptionValue value;
};

/// true|yes|1 or false|no|0 in any case.
std::optional<bool> parse_bool(std::string_view text);

/// The top mapping of a .yaml, .yml or .json file, in order, repeated keys included. Throws io, bad_input or usage.
std::vector<OptionEntry> read_option_file(const fs::path& path);

/// Checks `value` against the option's type, choices, range and rule and stores it when `store`. A list takes a scalar of a file
/// too, which means what the flag's text means. Throws usage.
void assign_option(const Option& option, const OptionValue& value, std::string_view where, bool store);

std::string option_kind(const Option& option);     // for --help: "INTEGER"
std::string option_range(const Option& option);    // "at least 1", "" without one
std::string option_expects(const Option& option);  // for messages: "an integer of at least 1"

}  // namespace dept
