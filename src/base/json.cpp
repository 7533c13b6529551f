#include "dept/base/json.h"

#include <cmath>
#include <vector>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr size_t max_json_depth = 256;

template <class T>
constexpr std::string_view kind = "";
template <>
constexpr std::string_view kind<bool> = "true or false";
template <>
constexpr std::string_view kind<int64_t> = "an integer";
template <>
constexpr std::string_view kind<double> = "a number";
template <>
constexpr std::string_view kind<std::string> = "a string";
template <>
constexpr std::string_view kind<std::vector<int64_t>> = "a list of integers";
template <>
constexpr std::string_view kind<std::vector<double>> = "a list of numbers";
template <>
constexpr std::string_view kind<std::vector<std::string>> = "a list of strings";

bool convert(const Json& json, bool& out) {
  return json.is_boolean() && (out = json.get<bool>(), true);
}
bool convert(const Json& json, int64_t& out) {
  if (json.is_number_unsigned() && json.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) return false;
  return json.is_number_integer() && (out = json.get<int64_t>(), true);
}
bool convert(const Json& json, double& out) {
  return json.is_number() && (out = json.get<double>(), true);
}
bool convert(const Json& json, std::string& out) {
  return json.is_string() && (out = json.get<std::string>(), true);
}
template <class T>
bool convert(const Json& json, std::vector<T>& out) {
  if (!json.is_array()) return false;
  out.resize(json.size());
  for (size_t i = 0; i < json.size(); ++i)
    if (!convert(json[i], out[i])) return false;
  return true;
}

// JSON's text has neither NaN nor infinity; what programs build as JSON may.
void check_finite(double value, const std::string& where) {
  if (!std::isfinite(value)) fail(Code::bad_input, where, "a finite number", str(value));
}
void check_finite(const std::vector<double>& values, const std::string& where) {
  for (const double value : values) check_finite(value, where);
}
template <class T>
void check_finite(const T&, const std::string&) {}

template <class T>
T converted(const Json& json, std::string_view key, std::string_view where) {
  T out{};
  if (!convert(json, out))
    fail(Code::bad_input, str(where, ": ", key), kind<T>, quote(json.dump(-1, ' ', false, Json::error_handler_t::replace)));
  check_finite(out, str(where, ": ", key));
  return out;
}

// Builds the value as the text is read. nlohmann's own reader lets the last of two equal keys win.
class Builder : public nlohmann::json_sax<Json> {
 public:
  explicit Builder(std::string_view where) : where_(where) {}
  Json take() { return std::move(root_); }

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(int64_t value) override { return put(value); }
  bool number_unsigned(uint64_t value) override { return put(value); }
  bool number_float(double value, const std::string&) override { return put(value); }
  bool string(std::string& value) override { return put(std::move(value)); }
  bool binary(Json::binary_t&) override { return false; }
  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(std::string& key) override {
    const auto [member, fresh] = open_.back()->get_ref<Json::object_t&>().try_emplace(std::move(key));
    if (!fresh) fail(Code::bad_input, where_, "each key once", str("the key ", quote(member->first), " twice"));
    member_ = &member->second;
    return true;
  }

  bool parse_error(size_t, const std::string&, const Json::exception& error) override {
    const std::string what = error.what();  // "[json.exception...] detail", with what was read last, however long
    const size_t detail = what.find("] ");
    const std::string quoted = quote(what.substr(detail == std::string::npos ? 0 : detail + 2), 200);
    fail(Code::bad_input, where_, "valid JSON", quoted.substr(1, quoted.size() - 2));
  }

 private:
  bool put(Json value) {
    place(std::move(value));
    return true;
  }
  Json* place(Json value) {
    Json* at = open_.empty()              ? &root_
               : open_.back()->is_array() ? &open_.back()->get_ref<Json::array_t&>().emplace_back()
                                          : member_;
    *at = std::move(value);
    return at;
  }
  bool open(Json value) {
    if (open_.size() == max_json_depth)
      fail(Code::bad_input, where_, str("JSON nested at most ", max_json_depth, " deep"), "deeper");
    open_.push_back(place(std::move(value)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  std::string_view where_;
  Json root_;
  std::vector<Json*> open_;  // the objects and arrays around what is read next
  Json* member_ = nullptr;   // the place of the key that was read last
};

}  // namespace

Json parse_json(std::string_view text, std::string_view where) {
  Builder builder(where);
  Json::sax_parse(text, &builder);
  return builder.take();
}

Json read_json(const fs::path& path, uint64_t max_bytes) {
  return parse_json(read_file(path, max_bytes), path.string());
}

template <class T>
T require(const Json& json, std::string_view key, std::string_view where) {
  const auto found = json.is_object() ? json.find(std::string(key)) : json.end();
  if (found == json.end()) fail(Code::bad_input, str(where, ": ", key), kind<T>, "nothing");
  return converted<T>(*found, key, where);
}

template <class T>
T value_or(const Json& json, std::string_view key, T fallback, std::string_view where) {
  const auto found = json.is_object() ? json.find(std::string(key)) : json.end();
  if (found == json.end() || found->is_null()) return fallback;
  return converted<T>(*found, key, where);
}

#define DEPT_JSON_FIELD(T)                                                \
  template T require<T>(const Json&, std::string_view, std::string_view); \
  template T value_or<T>(const Json&, std::string_view, T, std::string_view);
DEPT_JSON_FIELD(bool)
DEPT_JSON_FIELD(int64_t)
DEPT_JSON_FIELD(double)
DEPT_JSON_FIELD(std::string)
DEPT_JSON_FIELD(std::vector<int64_t>)
DEPT_JSON_FIELD(std::vector<double>)
DEPT_JSON_FIELD(std::vector<std::string>)
#undef DEPT_JSON_FIELD

}  // namespace dept
