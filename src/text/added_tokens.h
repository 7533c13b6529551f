// Tokens that are found in the text itself, before the model: specials and other additions.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "dept/base/json.h"
#include "text/normalizer.h"
#include "text/trie.h"
#include "text/vocabulary.h"

namespace dept {

struct AddedToken {
  std::string content;
  int32_t id = -1;
  bool special = false, single_word = false, lstrip = false, rstrip = false, normalized = false;

  bool operator==(const AddedToken&) const = default;
};

/// A stretch of text, or an added token (index >= 0) that stands in its place.
struct Segment {
  std::string_view text;
  int32_t index = -1;
};

class AddedTokens {
 public:
  /// Both are kept.
  AddedTokens(const Vocabulary& model, const Normalizer* normalizer) : model_(model), normalizer_(normalizer) {}

  /// Tokens that are added after this call and that nobody knows are numbered from the highest id that an added token has, or
  /// behind the model's vocabulary.
  void begin_batch();
  /// Adds {"content": .., "id": .., "special": .., ..}. Without an id any is right. A token that is added once more changes, but
  /// for two traits: what has been special stays special, and what has been normalised is spelled so when decoding. Throws
  /// bad_input naming `where`.
  void add(const Json& token, const std::string& where);
  /// Ends the adding. With `split_special` special tokens in a text are text. With `as_written` decoding spells normalised tokens
  /// as they are listed, as the library did until its version 0.22.
  void finish(bool split_special, bool as_written);

  const std::vector<AddedToken>& tokens() const { return tokens_; }
  /// Cuts raw text at the tokens that match it as it stands, and normalised text at the others; appends to `out`.
  void cut_raw(std::string_view text, std::vector<Segment>& out) const { cut(raw_, text, out); }
  void cut_normalized(std::string_view text, std::vector<Segment>& out) const { cut(normalized_, text, out); }

  const AddedToken* find(std::string_view content) const;
  const AddedToken* find(int64_t id) const;
  /// As it goes into decoding: the normalised form where there is one.
  std::string_view spelling(int64_t id) const;
  bool is_special(std::string_view spelling) const;

 private:
  struct Matcher {
    Trie trie;
    bool starts[256] = {};  // bytes that begin a token
    bool empty = true;
  };
  void cut(const Matcher& matcher, std::string_view text, std::vector<Segment>& out) const;

  const Vocabulary& model_;
  const Normalizer* normalizer_;
  std::vector<AddedToken> tokens_;
  Vocabulary by_content_;  // content -> index
  std::unordered_map<int64_t, int32_t> by_id_;
  std::vector<std::string> spellings_;
  std::vector<bool> ever_special_;
  int64_t next_id_ = 0;
  bool split_special_ = false, as_written_ = false;
  Matcher raw_, normalized_;
};

}  // namespace dept
