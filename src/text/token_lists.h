// The tokens that a tokenizer's settings add to its vocabulary.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "text/sources.h"

namespace dept {

/// The special tokens by name, then those under names of their own.
std::vector<Json> named_tokens(const TokenizerSettings& settings);

/// The tokens of the settings in transformers' order: those with ids, then named and further ones that nothing has listed.
std::vector<TokenToAdd> tokens_to_add(const TokenizerSettings& settings, std::set<std::string> listed);

/// T5's sentinels are special tokens where nothing else names further ones. Throws bad_input.
void add_sentinels(TokenizerSettings& settings);

/// Gives the source what the settings say beside its tokenizer.json.
void take_rest(TokenizerSettings& settings, TokenizerSource& source);

/// The token that a tokenizer.json's padding names; null where there is none.
Json padding_token(const Json& tokenizer);

}  // namespace dept
