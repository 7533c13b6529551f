#include "dept/models/label_names.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "dept/base/error.h"
#include "dept/base/json.h"
#include "dept/base/text.h"

namespace dept {
namespace {

int64_t row_number(std::string_view text, const std::string& where) {
  int64_t row = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), row);
  if (error != std::errc() || end != text.data() + text.size())
    fail(Code::bad_input, where, "whole numbers, each with its name", quote(text));
  return row;
}

// Names by row; every row from 0 on has one.
std::vector<std::string> in_order(const std::map<int64_t, std::string>& by_row, const std::string& where) {
  std::vector<std::string> names;
  for (const auto& [row, name] : by_row) {
    if (row != static_cast<int64_t>(names.size()))
      fail(Code::bad_input, where, str("a name for row ", names.size(), ", as rows count from 0"), str("one for ", row));
    names.push_back(name);
  }
  return names;
}

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

// "LABEL_7" and "7" -> "7", other names as they are.
std::string number_alone(const std::string& name) {
  constexpr std::string_view prefix = "label_";
  const std::string low = lower(name);
  const std::string digits = low.starts_with(prefix) ? low.substr(prefix.size()) : low;
  const bool number = !digits.empty() && digits.find_first_not_of("0123456789") == std::string::npos;
  return number ? digits : name;
}

using Form = std::string (*)(std::string);

// The rows where names and labels are equal in this form, one to one.
std::optional<std::vector<int64_t>> rows_by(const std::vector<std::string>& names, const std::vector<std::string>& labels,
                                            const Form form) {
  std::map<std::string, int64_t> by_name;
  for (const std::string& name : names) by_name.emplace(form(name), static_cast<int64_t>(by_name.size()));
  std::vector<int64_t> rows;
  for (const std::string& label : labels) {
    const auto found = by_name.find(form(label));
    if (found == by_name.end() || std::find(rows.begin(), rows.end(), found->second) != rows.end()) return std::nullopt;
    rows.push_back(found->second);
  }
  if (by_name.size() != names.size() || rows.size() != names.size()) return std::nullopt;
  return rows;
}

}  // namespace

std::vector<std::string> label_names(const fs::path& model) {
  if (!fs::is_directory(model)) return {};
  const fs::path path = model / "config.json";
  const Json config = read_json(path);
  const auto mapping = [&](const char* key) -> const Json* {
    const auto found = config.is_object() ? config.find(key) : config.end();
    if (found == config.end() || found->is_null()) return nullptr;
    if (!found->is_object()) fail(Code::bad_input, str(path.string(), ": ", key), "an object", found->type_name());
    return &*found;
  };
  std::map<int64_t, std::string> by_row;
  if (const Json* names = mapping("id2label")) {
    const std::string where = path.string() + ": id2label";
    for (const auto& [row, name] : names->items()) by_row[row_number(row, where)] = require<std::string>(*names, row, where);
    return in_order(by_row, where);
  }
  if (const Json* rows = mapping("label2id")) {
    const std::string where = path.string() + ": label2id";
    for (const auto& [name, row] : rows->items()) by_row[require<int64_t>(*rows, name, where)] = name;
    return in_order(by_row, where);
  }
  return {};
}

std::optional<std::vector<int64_t>> rows_of_labels(const std::vector<std::string>& names,
                                                   const std::vector<std::string>& labels) {
  constexpr Form forms[] = {[](std::string name) { return name; }, lower, [](std::string name) { return number_alone(name); }};
  for (const Form form : forms)
    if (auto rows = rows_by(names, labels, form)) return rows;
  return std::nullopt;
}

}  // namespace dept
