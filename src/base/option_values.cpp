#include "base/option_values.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <sstream>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

using Kind = OptionValue::Kind;

template <class T>
std::optional<T> parse_number(std::string_view text) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// As flags split a list: empty parts do not count, but for a text that is empty as a whole.
std::vector<std::string> split_at_commas(const std::string& text) {
  if (text.find(',') == std::string::npos) return {text};
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');)
    if (!part.empty()) parts.push_back(part);
  return parts;
}

// A value of each type from a scalar; nothing when it is of another kind. Only strings may be quoted in a file.
bool convert(const OptionValue& value, bool& out) {
  const auto parsed = value.kind == Kind::quoted ? std::nullopt : parse_bool(value.text);
  out = parsed.value_or(false);
  return parsed.has_value();
}
bool convert(const OptionValue& value, int64_t& out) {
  const auto parsed = value.kind == Kind::quoted ? std::nullopt : parse_number<int64_t>(value.text);
  out = parsed.value_or(0);
  return parsed.has_value();
}
bool convert(const OptionValue& value, double& out) {
  const auto parsed = value.kind == Kind::quoted ? std::nullopt : parse_number<double>(value.text);
  out = parsed.value_or(0);
  return parsed.has_value() && std::isfinite(out);
}
bool convert(const OptionValue& value, std::string& out) {
  out = value.text;
  return value.kind == Kind::flag || value.kind == Kind::plain || value.kind == Kind::quoted;
}
bool convert(const OptionValue& value, std::vector<std::string>& out) {
  if (value.kind == Kind::plain || value.kind == Kind::quoted) {
    out = split_at_commas(value.text);
    return true;
  }
  if (value.kind != Kind::list) return false;
  out.resize(value.items.size());
  for (size_t i = 0; i < out.size(); ++i)
    if (!convert(value.items[i], out[i])) return false;
  return true;
}
template <class T>
bool convert(const OptionValue& value, std::optional<T>& out) {
  if (value.kind == Kind::null) {
    out.reset();
    return true;
  }
  return value.kind != Kind::list && convert(value, out.emplace());
}

bool in_range(const Option& option, double value) {
  return (!option.low || value >= *option.low) && (!option.high || value <= *option.high);
}
bool permitted(const Option& option, bool) {
  return true;
}
bool permitted(const Option& option, int64_t value) {
  return in_range(option, static_cast<double>(value));
}
bool permitted(const Option& option, double value) {
  return in_range(option, value);
}
bool permitted(const Option& option, const std::string& value) {
  if (option.expected) return option.expected(value).empty();
  return option.allowed.empty() || std::find(option.allowed.begin(), option.allowed.end(), value) != option.allowed.end();
}
bool permitted(const Option& option, const std::vector<std::string>& values) {
  return std::all_of(values.begin(), values.end(), [&](const std::string& value) { return permitted(option, value); });
}
template <class T>
bool permitted(const Option& option, const std::optional<T>& value) {
  return !value || permitted(option, *value);
}

// Of a list the first item that is not permitted.
std::string received(const Option& option, const OptionValue& value) {
  std::vector<std::string> items;
  switch (value.kind) {
    case Kind::null:
      return "null";
    case Kind::nested:
      return "a mapping or a nested list";
    case Kind::quoted:
      return "the text " + quote(value.text);
    case Kind::flag:
    case Kind::plain:
      return quote(value.text);
    case Kind::list:
      break;
  }
  if (!std::holds_alternative<std::vector<std::string>*>(option.target)) return "a list";
  if (!convert(value, items)) return "a list of other things";
  const auto odd = std::find_if(items.begin(), items.end(), [&](const std::string& item) { return !permitted(option, item); });
  return odd == items.end() ? "a list" : quote(*odd);
}

std::string number_text(double value) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  return std::string(buffer, end);
}

Json json_of(bool value) {
  return value;
}
Json json_of(int64_t value) {
  return value;
}
Json json_of(double value) {
  return value;
}
Json json_of(const std::string& value) {
  return value;
}
Json json_of(const std::vector<std::string>& value) {
  return value;
}
template <class T>
Json json_of(const std::optional<T>& value) {
  return value ? json_of(*value) : Json();
}

// Words that no YAML reader takes for anything but a string stand bare; all else is double-quoted as in JSON.
bool safe_bare(const std::string& text) {
  static constexpr std::string_view reserved[] = {"true", "false", "yes", "no", "on", "off", "null", "nan", "inf", "y", "n"};
  std::string lower = text;
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (std::find(std::begin(reserved), std::end(reserved), lower) != std::end(reserved)) return false;
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '/'; };
  return !text.empty() && letter(text[0]) && std::all_of(text.begin(), text.end(), [&](char c) {
    return letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '-';
  });
}

std::string yaml_text(bool value) {
  return value ? "true" : "false";
}
std::string yaml_text(int64_t value) {
  return std::to_string(value);
}
std::string yaml_text(double value) {
  return number_text(value);
}
std::string yaml_text(const std::string& value) {
  return safe_bare(value) ? value : Json(value).dump(-1, ' ', false, Json::error_handler_t::replace);
}
std::string yaml_text(const std::vector<std::string>& values) {
  std::string out = "[";
  for (const std::string& value : values) out += (out.size() > 1 ? ", " : "") + yaml_text(value);
  return out + "]";
}
template <class T>
std::string yaml_text(const std::optional<T>& value) {
  return value ? yaml_text(*value) : "null";
}

// A single value of a list whose values may hold commas, as a list of one; null as none, as a file that is not there.
OptionValue as_given(const Option& option, const OptionValue& value) {
  if (option.commas) return value;
  if (value.kind == Kind::null) return {Kind::list, {}, {}};
  const bool single = value.kind == Kind::plain || value.kind == Kind::quoted;
  return single ? OptionValue{Kind::list, {}, {value}} : value;
}

struct KindNames {
  std::string_view help, message;
};
KindNames kind_names(const bool*) {
  return {"true|false", "true or false"};
}
KindNames kind_names(const int64_t*) {
  return {"INTEGER", "an integer"};
}
KindNames kind_names(const double*) {
  return {"NUMBER", "a number"};
}
KindNames kind_names(const std::string*) {
  return {"TEXT", "a text"};
}
KindNames kind_names(const std::vector<std::string>*) {
  return {"TEXT...", "a text or a list of texts"};
}
template <class T>
KindNames kind_names(const std::optional<T>*) {
  return kind_names(static_cast<const T*>(nullptr));
}

// Nothing of a list within a list is read: aliases may make it endless.
template <class Items, class Scalar>
OptionValue list_of(const Items& items, const Scalar& scalar) {
  OptionValue list{Kind::list, {}, {}};
  for (const auto& item : items) {
    list.items.push_back(scalar(item));
    if (list.items.back().kind == Kind::nested) return {Kind::nested, {}, {}};
  }
  return list;
}

OptionValue scalar_of(const Json& json) {
  if (json.is_null()) return {};
  if (json.is_string()) return {Kind::quoted, json.get<std::string>(), {}};
  if (json.is_structured()) return {Kind::nested, {}, {}};
  return {Kind::plain, json.dump(), {}};
}
OptionValue scalar_of(const YAML::Node& node) {
  if (node.IsNull()) return {};
  if (!node.IsScalar()) return {Kind::nested, {}, {}};
  return {node.Tag() == "?" ? Kind::plain : Kind::quoted, node.Scalar(), {}};
}

OptionValue value_of(const Json& json) {
  return json.is_array() ? list_of(json, [](const Json& item) { return scalar_of(item); }) : scalar_of(json);
}
OptionValue value_of(const YAML::Node& node) {
  return node.IsSequence() ? list_of(node, [](const YAML::Node& item) { return scalar_of(item); }) : scalar_of(node);
}

std::vector<OptionEntry> read_yaml(const std::string& bytes, const std::string& name) {
  std::vector<OptionEntry> entries;
  if (const size_t bad = find_invalid_utf8(bytes); bad != std::string::npos)
    fail(Code::bad_input, name, "UTF-8", str("a broken byte at ", bad));
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(bytes);
    if (documents.size() > 1) fail(Code::bad_input, name, "one YAML document", str(documents.size(), " of them"));
    if (documents.empty() || documents[0].IsNull()) return entries;
    if (!documents[0].IsMap()) fail(Code::bad_input, name, "options, as in max_steps: 100", "a list or a text");
    for (const auto& entry : documents[0]) {
      if (!entry.first.IsScalar())
        fail(Code::bad_input, str(name, ": line ", entry.first.Mark().line + 1), "an option's name", "a list or a mapping");
      const std::string& key = entry.first.Scalar();
      entries.push_back({key, str(name, ": line ", entry.first.Mark().line + 1, ": ", key), value_of(entry.second)});
    }
  } catch (const YAML::Exception& error) {
    fail(Code::bad_input, str(name, ": line ", error.mark.line + 1), "valid YAML", error.msg);
  }
  return entries;
}

}  // namespace

std::optional<bool> parse_bool(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (lower == "true" || lower == "yes" || lower == "1") return true;
  if (lower == "false" || lower == "no" || lower == "0") return false;
  return std::nullopt;
}

std::vector<OptionEntry> read_option_file(const fs::path& path) {
  const std::string name = path.string(), extension = path.extension().string();
  if (extension == ".yaml" || extension == ".yml") return read_yaml(read_file(path, max_option_file_bytes), name);
  if (extension != ".json")
    fail(Code::usage, name, "a recipe, which is a .yaml, .yml or .json file",
         extension.empty() ? "no extension" : quote(extension));
  const Json json = read_json(path, max_option_file_bytes);
  if (!json.is_object()) fail(Code::bad_input, name, "an object of options", json.type_name());
  std::vector<OptionEntry> entries;
  for (const auto& [key, value] : json.items()) entries.push_back({key, str(name, ": ", key), value_of(value)});
  return entries;
}

void assign_option(const Option& option, const OptionValue& value, std::string_view where, bool store) {
  std::visit(
      [&](auto* target) {
        std::remove_pointer_t<decltype(target)> converted{};
        if (!convert(as_given(option, value), converted) || !permitted(option, converted))
          fail(Code::usage, where, option.expected && !value.text.empty() ? option.expected(value.text) : option_expects(option),
               received(option, value));
        if (store) *target = std::move(converted);
      },
      option.target);
}

std::string option_kind(const Option& option) {
  return std::visit([](auto* target) { return std::string(kind_names(target).help); }, option.target);
}

std::string option_range(const Option& option) {
  if (option.low && option.high) return str(number_text(*option.low), " to ", number_text(*option.high));
  if (option.low) return "at least " + number_text(*option.low);
  if (option.high) return "at most " + number_text(*option.high);
  return "";
}

std::string option_expects(const Option& option) {
  std::string kind = std::visit([](auto* target) { return std::string(kind_names(target).message); }, option.target);
  std::string choices;
  for (size_t i = 0; i < option.allowed.size(); ++i)
    choices += (i == 0 ? "" : i + 1 == option.allowed.size() ? " or " : ", ") + option.allowed[i];
  if (!choices.empty()) return choices;
  const std::string range = option_range(option);
  if (range.empty()) return kind;
  return str(kind, option.low && option.high ? " from " : " of ", range);
}

std::string option_text(const Option& option) {
  return std::visit([](auto* target) { return yaml_text(*target); }, option.target);
}

OrderedJson option_json(const Option& option) {
  return std::visit([](auto* target) { return OrderedJson(json_of(*target)); }, option.target);
}

}  // namespace dept
