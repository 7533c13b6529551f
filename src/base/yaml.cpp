#include "dept/base/yaml.h"

#include <yaml-cpp/yaml.h>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr int max_yaml_depth = 16;
constexpr int64_t max_yaml_nodes = 100'000;

class Converter {
 public:
  explicit Converter(std::string_view where) : where_(where) {}

  OrderedJson convert(const YAML::Node& node, int depth = 0) {
    const auto place = [&] { return str(where_, ": line ", node.Mark().line + 1); };
    if (depth > max_yaml_depth || ++nodes_ > max_yaml_nodes)
      fail(Code::bad_input, place(), str("YAML of at most ", max_yaml_depth, " levels and ", max_yaml_nodes, " nodes"), "more");
    if (node.IsNull()) return nullptr;
    if (node.IsScalar()) return node.Scalar();
    if (node.IsSequence()) {
      OrderedJson list = OrderedJson::array();
      for (const YAML::Node& item : node) list.push_back(convert(item, depth + 1));
      return list;
    }
    OrderedJson mapping = OrderedJson::object();
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) fail(Code::bad_input, place(), "a name as each key", "a list or a mapping");
      const std::string& key = entry.first.Scalar();
      if (mapping.contains(key)) fail(Code::bad_input, place(), "each key once", quote(key) + " twice");
      mapping[key] = convert(entry.second, depth + 1);
    }
    return mapping;
  }

 private:
  std::string_view where_;
  int64_t nodes_ = 0;
};

}  // namespace

OrderedJson parse_yaml(const std::string& text, std::string_view where) {
  if (const size_t bad = find_invalid_utf8(text); bad != std::string::npos)
    fail(Code::bad_input, where, "UTF-8", str("a broken byte at ", bad));
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() > 1) fail(Code::bad_input, where, "one YAML document", str(documents.size(), " of them"));
    return documents.empty() ? OrderedJson() : Converter(where).convert(documents[0]);
  } catch (const YAML::Exception& error) {
    fail(Code::bad_input, str(where, ": line ", error.mark.line + 1), "valid YAML", error.msg);
  }
}

}  // namespace dept
