// A key of a recipe that holds more than one option's value: mappings and lists of any depth, scalars as options are read.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dept/base/file.h"
#include "dept/base/json.h"

namespace dept {

struct Option;

/// An option's present value as YAML (flow style) and as JSON.
std::string option_text(const Option& option);
OrderedJson option_json(const Option& option);

/// What a flag or a file says. A plain scalar of a file may be a number or a boolean, a quoted one is a string only; nested is a
/// mapping, or a list in a list.
struct OptionValue {
  enum class Kind { flag, plain, quoted, null, list, nested };
  Kind kind = Kind::null;
  std::string text;
  std::vector<OptionValue> items;
};

struct OptionTree {
  std::string where;  ///< "FILE: line 3: sweep.method" in YAML, "FILE: sweep.method" in JSON
  OptionValue value;  ///< a scalar, or a list of scalars; else Kind::nested
  struct Member;
  std::vector<Member> members;  ///< of a mapping, in order
  bool mapping = false;

  const OptionTree* find(std::string_view key) const;
};

struct OptionTree::Member {
  std::string key;
  OptionTree tree;
};

/// What a .yaml, .yml or .json file has under its key `key`; nothing where it does not have it. Throws io, bad_input (no YAML or
/// JSON, a key twice, more than 16 levels or 100,000 nodes) or usage.
std::optional<OptionTree> read_option_tree(const fs::path& path, const std::string& key);

}  // namespace dept
