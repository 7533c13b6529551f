// YAML of any shape as JSON. Scalars stay the text that was written, so that "0", 0 and "yes" are read alike and nothing is
// guessed.
#pragma once

#include "dept/base/json.h"

namespace dept {

/// One document: mappings (repeated keys refused), lists, strings and nulls; at most 16 deep and 100,000 nodes, aliases counted
/// each time they are used. `where` names the file in errors. Throws bad_input.
OrderedJson parse_yaml(const std::string& text, std::string_view where);

}  // namespace dept
