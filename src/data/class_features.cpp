#include "data/class_features.h"

#include <algorithm>

namespace dept {
namespace {

constexpr int max_feature_depth = 32;

ClassFeature parse(const Json& json, int depth);

ClassFeature list_of(const Json& item, int depth) {
  ClassFeature list;
  list.item = std::make_unique<ClassFeature>(parse(item, depth + 1));
  return list;
}

// A mapping of names to types has no type of its own.
bool is_struct(const Json& json) {
  return json.is_object() && !(json.contains("_type") && json["_type"].is_string());
}

ClassFeature parse(const Json& json, int depth) {
  ClassFeature feature;
  if (depth > max_feature_depth) return feature;
  if (json.is_array() && json.size() == 1) return list_of(json[0], depth);
  if (!json.is_object()) return feature;
  if (is_struct(json)) {
    for (const auto& [name, field] : json.items()) feature.fields.emplace(name, parse(field, depth + 1));
    return feature;
  }
  if (json.contains("feature")) {
    const Json& item = json["feature"];
    if (json["_type"] != "Sequence" || !is_struct(item)) return list_of(item, depth);
    // A Sequence of structs is stored as a struct of lists.
    for (const auto& [name, field] : item.items()) feature.fields.emplace(name, list_of(field, depth));
    return feature;
  }
  if (json["_type"] != "ClassLabel" || !json.contains("names") || !json["names"].is_array()) return feature;
  const Json& names = json["names"];
  if (std::all_of(names.begin(), names.end(), [](const Json& name) { return name.is_string(); }))
    feature.names = names.get<std::vector<std::string>>();
  return feature;
}

}  // namespace

ClassFeature parse_class_features(const std::string& metadata) {
  const Json json = Json::parse(metadata, nullptr, false);
  const Json* features = &json;
  for (const char* key : {"info", "features"}) {
    if (!features->is_object() || !features->contains(key)) return {};
    features = &(*features)[key];
  }
  return is_struct(*features) ? parse(*features, 0) : ClassFeature();
}

}  // namespace dept
