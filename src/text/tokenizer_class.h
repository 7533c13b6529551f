// Which class of transformers makes a folder's tokenizer.
#pragma once

#include <string>

#include "text/settings.h"

namespace dept {

/// Reads config.json and sets the class as AutoTokenizer of transformers 5.17 finds it from tokenizer_config.json and
/// config.json, without "Fast"; empty where tokenizer.json is taken as it is. Throws bad_input for a tokenizer that is a program
/// of its own.
void choose_class(const fs::path& folder, TokenizerSettings& settings);

}  // namespace dept
