// What the `datasets` library writes into a parquet file's schema about its columns: which integers are classes, and their names.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dept/base/json.h"

namespace dept {

/// A column's, a list's elements' or a struct's field's type as far as classes go.
struct ClassFeature {
  std::vector<std::string> names;              ///< of a ClassLabel, in order; else empty
  std::unique_ptr<ClassFeature> item;          ///< of a list
  std::map<std::string, ClassFeature> fields;  ///< of a struct
};

/// From the value under the schema's key "huggingface"; no fields when it says nothing of columns.
ClassFeature parse_class_features(const std::string& metadata);

}  // namespace dept
