// Reading the parts of a tokenizer.json: errors name the file and the field.
#pragma once

#include <string>

#include "dept/base/json.h"
#include "text/vocabulary.h"

namespace dept {

/// "a string", "an object", ... for messages.
std::string kind_of(const Json& json);

/// The member `key`, of any kind but null; throws bad_input when it is absent.
const Json& member(const Json& json, const char* key, const std::string& where);

/// An object {token: id}; throws bad_input for anything else, for a negative, double or far-off id.
void read_vocabulary(const Json& json, Vocabulary& out, const std::string& where);

/// {"String": s} or {"Regex": r} -> an Oniguruma pattern and whether it is plain text.
struct PatternField {
  std::string text;
  bool regex = false;
};
PatternField read_pattern(const Json& json, const std::string& where);

/// A string that holds exactly one character.
char32_t read_character(const Json& json, const char* key, const std::string& where);

}  // namespace dept
