#include "http/fields.h"

#include <mutex>

#include "dept/base/log.h"
#include "dept/base/text.h"
#include "dept/error.h"
#include "http/message.h"

namespace dept::http {
namespace {

constexpr size_t most_logged_names = 1000;

// Whether it is the first time; beyond so many names nobody reads them.
bool is_new(const std::string& name) {
  static std::mutex mutex;
  static std::set<std::string> logged;
  const std::lock_guard lock(mutex);
  return logged.size() < most_logged_names && logged.insert(name).second;
}

Json parse(std::string_view body) {
  try {
    return parse_json(body, "body");
  } catch (const Error& error) {
    throw ApiError(400, error.what());
  }
}

}  // namespace

std::string shown(const Json& value) {
  return quote(value.dump(-1, ' ', false, Json::error_handler_t::replace));
}

Fields::Fields(std::string_view body) : object_(parse(body)) {
  if (!object_.is_object()) throw ApiError(400, str("[body] expected an object, received ", shown(object_)));
}

Fields::Fields(Json object, std::string within) : object_(std::move(object)), within_(std::move(within) + ".") {
  if (!object_.is_object()) refuse(within_.substr(0, within_.size() - 1), "an object", shown(object_));
}

const Json* Fields::find(const std::string& name) {
  known_.insert(name);
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::string Fields::text(const std::string& name) {
  const Json* value = find(name);
  if (value == nullptr) refuse(named(name), "a text", "none");
  if (!value->is_string() || value->get_ref<const std::string&>().empty()) refuse(named(name), "a text", shown(*value));
  return value->get<std::string>();
}

bool Fields::flag(const std::string& name, bool fallback) {
  const Json* value = find(name);
  if (value != nullptr && !value->is_boolean()) refuse(named(name), "true or false", shown(*value));
  return value == nullptr ? fallback : value->get<bool>();
}

std::optional<int64_t> Fields::integer(const std::string& name, int64_t least, int64_t most) {
  const Json* value = find(name);
  if (value == nullptr) return {};
  const bool fits =
      value->is_number_integer() && !(value->is_number_unsigned() && value->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX));
  if (!fits || value->get<int64_t>() < least || value->get<int64_t>() > most)
    refuse(named(name), str("an integer from ", least, " to ", most), shown(*value));
  return value->get<int64_t>();
}

int64_t Fields::integer(const std::string& name, int64_t fallback, int64_t least, int64_t most) {
  return integer(name, least, most).value_or(fallback);
}

double Fields::number(const std::string& name, double fallback, double least, double most) {
  const Json* value = find(name);
  if (value == nullptr) return fallback;
  if (!value->is_number() || !(value->get<double>() >= least) || !(value->get<double>() <= most))
    refuse(named(name), str("a number from ", least, " to ", most), shown(*value));
  return value->get<double>();
}

std::vector<std::string> Fields::texts(const std::string& name, size_t most) {
  const Json* value = find(name);
  if (value == nullptr) return {};
  const Json list = value->is_array() ? *value : Json::array({*value});
  if (list.size() > most) refuse(named(name), str("at most ", most, " texts"), str(list.size()));
  std::vector<std::string> texts;
  for (const Json& each : list) {
    if (!each.is_string() || each.get_ref<const std::string&>().empty())
      refuse(named(name), "a text of at least one character, or a list of them", shown(*value));
    texts.push_back(each.get<std::string>());
  }
  return texts;
}

void Fields::log_unknown(std::string_view route) const {
  for (const auto& [name, value] : object_.items())
    if (!known_.contains(name) && is_new(within_ + name))
      log::warn(str("[", route, "] ignores the field ", quote(within_ + name)));
}

}  // namespace dept::http
