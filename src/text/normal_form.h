// Unicode's normal forms, in the version of Unicode that the `tokenizers` library has.
#pragma once

#include <string>
#include <string_view>

namespace dept::unicode {

enum class Form { nfc, nfd, nfkc, nfkd };

/// Valid UTF-8 in and out (UAX #15, characters of Unicode 9). False: the text is in this form, and `out` holds nothing of use.
bool to_form(Form form, std::string_view text, std::string& out);

}  // namespace dept::unicode
