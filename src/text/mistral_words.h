// Tokenizers of Mistral models that were written before transformers 5 may split words by a wrong pattern; a setting mends that.
#pragma once

#include "text/sources.h"

namespace dept {

/// Makes Mistral's pattern the first step of the pre-tokenizer where AutoTokenizer of transformers 5.17 does so for a folder:
/// tokenizer_config.json says "fix_mistral_regex": true, there are more than 100,000 tokens, and an older transformers wrote
/// config.json. A line warns of a Mistral model for which nothing decides. Returns whether `source` has changed. Throws bad_input
/// for a setting or a version that makes no sense.
bool mend_mistral_words(TokenizerSource& source);

}  // namespace dept
