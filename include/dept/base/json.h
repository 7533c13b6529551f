// JSON: strict parsing (duplicate keys and trailing text refused) and field access that names file and field in its errors.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "dept/base/file.h"

namespace dept {

using Json = nlohmann::json;
/// Keeps the order in which keys were added: for what we write.
using OrderedJson = nlohmann::ordered_json;

/// Parses one JSON text; `where` names the file (and line) in errors. Throws bad_input.
Json parse_json(std::string_view text, std::string_view where);

/// Reads and parses a file. Throws io or bad_input.
Json read_json(const fs::path& path, uint64_t max_bytes = uint64_t{256} << 20);

/// The member `key` of object `json` as a T (bool, int64_t, double, std::string, or vectors of these).
/// Throws bad_input "[where: key] expected an integer, received ..." when absent, of another kind or NaN.
template <class T>
T require(const Json& json, std::string_view key, std::string_view where);

/// The same with a default for an absent or null member.
template <class T>
T value_or(const Json& json, std::string_view key, T fallback, std::string_view where);

}  // namespace dept
