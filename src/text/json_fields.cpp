#include "text/json_fields.h"

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "text/unicode.h"

namespace dept {

std::string kind_of(const Json& json) {
  switch (json.type()) {
    case Json::value_t::null:
      return "null";
    case Json::value_t::boolean:
      return "true or false";
    case Json::value_t::string:
      return str("the string ", quote(json.get_ref<const std::string&>()));
    case Json::value_t::array:
      return str("a list of ", json.size());
    case Json::value_t::object:
      return "an object";
    default:
      return str("the number ", json.dump());
  }
}

const Json& member(const Json& json, const char* key, const std::string& where) {
  const auto found = json.is_object() ? json.find(key) : json.end();
  if (found == json.end() || found->is_null())
    fail(Code::bad_input, where, str("a field ", quote(key)), json.is_object() ? "none" : kind_of(json));
  return *found;
}

void read_vocabulary(const Json& json, Vocabulary& out, const std::string& where) {
  if (!json.is_object() || json.empty()) fail(Code::bad_input, where, "an object of tokens and ids", kind_of(json));
  out.reserve(json.size(), json.size() * 8);
  for (const auto& [token, id] : json.items()) {
    const auto added = id.is_number_integer() ? out.add(token, id.is_number_unsigned() && id.get<uint64_t>() > Vocabulary::max_id
                                                                   ? Vocabulary::max_id + 1
                                                                   : id.get<int64_t>())
                                              : Vocabulary::Added::bad_id;
    if (added == Vocabulary::Added::bad_id)
      fail(Code::bad_input, str(where, ": ", quote(token)), str("an id from 0 to ", Vocabulary::max_id), kind_of(id));
    if (added == Vocabulary::Added::id_taken)
      fail(Code::bad_input, str(where, ": ", quote(token)), "an id of its own",
           str("the id of ", quote(out.token(id.get<int64_t>()))));
  }
}

PatternField read_pattern(const Json& json, const std::string& where) {
  const Json& pattern = member(json, "pattern", where);
  if (pattern.is_object() && pattern.size() == 1) {
    const auto only = pattern.begin();
    if ((only.key() == "String" || only.key() == "Regex") && only->is_string())
      return {only->get<std::string>(), only.key() == "Regex"};
  }
  fail(Code::bad_input, where + ": pattern", R"({"String": text} or {"Regex": text})", kind_of(pattern));
}

char32_t read_character(const Json& json, const char* key, const std::string& where) {
  const auto text = require<std::string>(json, key, where);
  if (text.empty() || unicode::decode(text, 0).length != text.size())
    fail(Code::bad_input, str(where, ": ", key), "one character", quote(text));
  return unicode::decode(text, 0).point;
}

}  // namespace dept
