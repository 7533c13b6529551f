#include "dept/base/option_tree.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>

#include "base/option_values.h"
#include "dept/base/error.h"
#include "dept/base/json.h"
#include "dept/base/text.h"

namespace dept {
namespace {

using Kind = OptionValue::Kind;
constexpr int max_tree_depth = 16;
constexpr int64_t max_tree_nodes = 100'000;

// Aliases may make a small file endless.
class Limits {
 public:
  void count(int depth, std::string_view where) {
    if (depth > max_tree_depth || ++nodes_ > max_tree_nodes)
      fail(Code::bad_input, where, str("at most ", max_tree_depth, " levels and ", max_tree_nodes, " nodes"), "more");
  }

 private:
  int64_t nodes_ = 0;
};

OptionValue scalar(const OrderedJson& json) {
  if (json.is_null()) return {};
  if (json.is_string()) return {Kind::quoted, json.get<std::string>(), {}};
  return {Kind::plain, json.dump(), {}};
}

OptionValue scalar(const YAML::Node& node) {
  if (node.IsNull()) return {};
  return {node.Tag() == "?" ? Kind::plain : Kind::quoted, node.Scalar(), {}};
}

// The lists' items, unless one is a list or a mapping.
OptionValue list_of(std::vector<OptionTree> items) {
  OptionValue list{Kind::list, {}, {}};
  for (OptionTree& item : items) {
    if (item.value.kind == Kind::list || item.value.kind == Kind::nested) list.kind = Kind::nested;
    list.items.push_back(std::move(item.value));
  }
  return list;
}

void add_member(OptionTree& tree, const std::string& key, OptionTree member) {
  if (tree.find(key) != nullptr) fail(Code::usage, member.where, "each key once", "it twice");
  tree.members.push_back({key, std::move(member)});
}

OptionTree convert(const OrderedJson& json, const std::string& file, const std::string& path, int depth, Limits& limits) {
  OptionTree tree{str(file, ": ", path), {}, {}, json.is_object()};
  limits.count(depth, tree.where);
  if (!json.is_structured()) {
    tree.value = scalar(json);
    return tree;
  }
  std::vector<OptionTree> items;
  tree.value.kind = Kind::nested;
  for (const auto& [key, value] : json.items()) {
    OptionTree child = convert(value, file, json.is_object() ? str(path, ".", key) : path, depth + 1, limits);
    if (json.is_object())
      add_member(tree, key, std::move(child));
    else
      items.push_back(std::move(child));
  }
  if (json.is_array()) tree.value = list_of(std::move(items));
  return tree;
}

OptionTree convert(const YAML::Node& node, int line, const std::string& file, const std::string& path, int depth,
                   Limits& limits) {
  OptionTree tree{str(file, ": line ", line + 1, ": ", path), {}, {}, node.IsMap()};
  limits.count(depth, tree.where);
  if (node.IsMap()) {
    tree.value.kind = Kind::nested;
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) fail(Code::bad_input, tree.where, "a name as each key", "a list or a mapping");
      const std::string& key = entry.first.Scalar();
      add_member(tree, key, convert(entry.second, entry.first.Mark().line, file, str(path, ".", key), depth + 1, limits));
    }
  } else if (node.IsSequence()) {
    std::vector<OptionTree> items;
    for (const YAML::Node& item : node) items.push_back(convert(item, line, file, path, depth + 1, limits));
    tree.value = list_of(std::move(items));
  } else {
    tree.value = scalar(node);
  }
  return tree;
}

std::optional<OptionTree> read_yaml(const fs::path& path, const std::string& key) {
  const std::string file = path.string();
  std::optional<OptionTree> found;
  try {
    const YAML::Node document = YAML::Load(read_file(path, max_option_file_bytes));
    if (!document.IsMap()) return found;
    for (const auto& entry : document) {
      if (!entry.first.IsScalar() || entry.first.Scalar() != key) continue;
      const int line = entry.first.Mark().line;
      if (found) fail(Code::usage, str(file, ": line ", line + 1, ": ", key), "each key once", "it twice");
      Limits limits;
      found = convert(entry.second, line, file, key, 0, limits);
    }
  } catch (const YAML::Exception& error) {
    fail(Code::bad_input, str(file, ": line ", error.mark.line + 1), "valid YAML", error.msg);
  }
  return found;
}

}  // namespace

const OptionTree* OptionTree::find(std::string_view key) const {
  const auto found = std::find_if(members.begin(), members.end(), [&](const auto& member) { return member.key == key; });
  return found == members.end() ? nullptr : &found->tree;
}

std::optional<OptionTree> read_option_tree(const fs::path& path, const std::string& key) {
  if (path.extension() != ".json") return read_yaml(path, key);
  read_json(path, max_option_file_bytes);  // as strictly as recipes are read; it sorts the keys
  const OrderedJson json = OrderedJson::parse(read_file(path, max_option_file_bytes));
  if (!json.is_object() || !json.contains(key)) return std::nullopt;
  Limits limits;
  return convert(json[key], path.string(), key, 0, limits);
}

}  // namespace dept
