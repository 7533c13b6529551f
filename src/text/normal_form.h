// Unicode's normal forms and lower case, in the versions of Unicode that the `tokenizers` library has.
#pragma once

#include <string>
#include <string_view>

namespace dept::unicode {

enum class Form { nfc, nfd, nfkc, nfkd };

/// Valid UTF-8 in and out (UAX #15, characters of Unicode 9). False: the text is in this form, and `out` holds nothing of use.
bool to_form(Form form, std::string_view text, std::string& out);

/// Appends the lower case of one character, whatever stands around it (as Rust's char::to_lowercase).
void append_lower(char32_t point, std::string& out);

}  // namespace dept::unicode
