// What the tasks of T5's line do to text: formulas of arXiv 1910.10683's code and of the SQuAD v1.1 evaluation.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "dept/base/json.h"

namespace dept {

/// Blanks around whatever is no letter, number, mark, underscore or white space; then white space runs become one blank.
std::string pad_punctuation(std::string_view text);

/// SQuAD's normal form: lower case, no ASCII punctuation, no articles, single blanks.
std::string normalise_answer(std::string_view text);

/// Words between white space, as Python's str.split has them.
std::vector<std::string_view> split_words(std::string_view text);

/// What Python 3 prints for a value of lists, mappings, strings, numbers, booleans and None.
std::string python_repr(const OrderedJson& value);

}  // namespace dept
