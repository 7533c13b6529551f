// The fields of a request's JSON object, strictly typed; an error names the field.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "dept/base/json.h"

namespace dept::http {

class Fields {
 public:
  /// Throws ApiError 400 for what is no JSON object.
  explicit Fields(std::string_view body);
  /// A field's own object.
  Fields(Json object, std::string within);

  // What is absent or null is the fallback. Throws ApiError 400 naming the field. A field that was asked for is known.

  const Json* find(const std::string& name);  ///< null where there is none
  std::string text(const std::string& name);  ///< needed, not empty
  bool flag(const std::string& name, bool fallback);
  int64_t integer(const std::string& name, int64_t fallback, int64_t least, int64_t most);
  std::optional<int64_t> integer(const std::string& name, int64_t least, int64_t most);
  double number(const std::string& name, double fallback, double least, double most);
  /// A text or a list of texts, none empty.
  std::vector<std::string> texts(const std::string& name, size_t most);

  /// Logs the fields that nobody asked for, each name once in the process.
  void log_unknown(std::string_view route) const;

 private:
  std::string named(const std::string& name) const { return within_ + name; }

  Json object_;
  std::string within_;
  std::set<std::string> known_;
};

/// A value in an error: cut where it is long.
std::string shown(const Json& value);

}  // namespace dept::http
