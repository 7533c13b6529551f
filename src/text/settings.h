// What the files beside a vocabulary say of a tokenizer: tokenizer_config.json, special_tokens_map.json, added_tokens.json,
// config.json.
#pragma once

#include <string>
#include <vector>

#include "dept/base/json.h"
#include "dept/text/tokenizer.h"

namespace dept {

/// No file of a tokenizer is larger.
inline constexpr uint64_t max_file_bytes = uint64_t{256} << 20;

/// The names of the tokens that every tokenizer of transformers may have, in transformers' order.
inline constexpr const char* special_names[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                                "pad_token", "cls_token", "mask_token"};

/// The settings as AutoTokenizer of transformers 5.17 hands them to the tokenizer's class. A token is a string or an object with
/// a field content.
struct TokenizerSettings {
  /// tokenizer_config.json with what special_tokens_map.json says beside it.
  Json config = Json::object();
  /// Tokens with an id each, in the order of their ids.
  Json listed = Json::array();
  /// Tokens under names of their own ("image_token"), and tokens without a name.
  std::vector<std::pair<std::string, Json>> named;
  /// extra_special_tokens, and what takes its place where it is null; the class may have its own.
  Json extra, additional;
  /// The class of transformers that builds the tokenizer; empty: tokenizer.json is taken as it is.
  std::string class_name;
  /// Whether the files name a class or a model of a known class; whether class_name follows from tokenizer_config.json alone.
  bool says_class = false, class_in_config = true;
  TokenizerRules rules = TokenizerRules::transformers_5;
  /// config.json, null where there is none, and its path.
  Json model;
  std::string where_model;
  /// Where errors are: tokenizer_config.json's path, what lists the tokens with ids, and what names the class.
  std::string where, where_listed, where_class;
  /// Name and bytes of the files that were read, without config.json.
  std::vector<std::pair<std::string, std::string>> files;
};

/// `tokenizer` is the folder's tokenizer.json, or null. Throws io or bad_input.
TokenizerSettings read_settings(const fs::path& folder, const Json& tokenizer, TokenizerRules rules);

/// The text of a token that is a string or an object with a field content; empty for null.
std::string content_of(const Json& token, const std::string& where);

}  // namespace dept
