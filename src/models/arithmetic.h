// What a configuration says of arithmetic that its family does not compute is refused by name, not left unread.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dept/base/json.h"

namespace dept {

/// A field and the values with which it changes nothing; null changes nothing either.
struct NeutralField {
  std::string_view key;
  std::vector<Json> values;
};

/// Throws bad_input when `value` is none of the field's; the second form asks the configuration for it.
void require_neutral(const NeutralField& field, const Json& value, const std::string& where);
void require_neutral(const Json& config, const NeutralField& field, const std::string& where);

/// Throws bad_input for a key of config.json that changes a model's result in transformers or in its author's code and that this
/// family does not compute: all but `computed`. Keys that change no result pass, known or not.
void refuse_other_arithmetic(const Json& config, const std::string& where, std::span<const std::string_view> computed);

/// A family's own name of a field, and the name that transformers has for it in every family.
struct FieldNames {
  std::string_view own, alias;
};

/// Throws bad_input when config.json has a field under both of its names with two values.
void refuse_two_values(const Json& config, std::initializer_list<FieldNames> fields, const std::string& where);

}  // namespace dept
