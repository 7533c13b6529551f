// The text of single tokens, for log-probabilities.
#pragma once

#include <optional>
#include <string>

#include "dept/models/continuous.h"
#include "dept/serve/engine.h"

namespace dept::serve {

/// Unicode characters of valid UTF-8.
int64_t characters(const std::string& text);

/// One text's tokens in order, with what each adds to the text and where.
class TokenTexts {
 public:
  /// Texts begin behind `offset` characters.
  explicit TokenTexts(const Tokenizer& tokenizer, int64_t offset = 0) : tokenizer_(&tokenizer), offset_(offset) {}

  /// The next token. `scores` absent: it has none.
  TokenLogprob next(int64_t id, const TokenScores* scores);
  int64_t offset() const { return offset_; }

 private:
  std::string text_of(int64_t id, bool skip_special_tokens) const;

  const Tokenizer* tokenizer_;
  int64_t offset_;
  std::optional<int64_t> previous_;
};

}  // namespace dept::serve
