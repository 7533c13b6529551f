// Tokenizers by the rules of one or the other generation of transformers.
#pragma once

#include "dept/base/file.h"
#include "dept/tokenizer.h"

namespace dept {

/// Whose tokenizer a model's files make: AutoTokenizer's in transformers 5.17, or in 4.28, on which the original ran. They
/// differ in what a tokenizer's class changes of a tokenizer.json (5.17 much, 4.28 little) and in how a spiece.model is told.
enum class TokenizerRules { transformers_5, transformers_4 };

/// load_tokenizer by these rules.
std::shared_ptr<const Tokenizer> load_tokenizer(const fs::path& path, TokenizerRules rules);

}  // namespace dept
