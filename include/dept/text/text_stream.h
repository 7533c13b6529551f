// The text of an answer while its tokens come.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "dept/text/tokenizer.h"

namespace dept {

/// Where the first of the stop texts begins, or npos.
size_t find_stop(std::string_view text, const std::vector<std::string>& stops);

/// Gives out only what later tokens cannot change: whole characters, and nothing that may be the beginning of a stop text. What
/// was given out together is the decoded answer, cut before the first stop text.
class TextStream {
 public:
  TextStream(const Tokenizer& tokenizer, std::vector<std::string> stops) : tokenizer_(tokenizer), stops_(std::move(stops)) {}

  /// The text that this token makes certain.
  std::string add(int64_t id);
  /// A stop text is there; nothing more will come.
  bool stopped() const { return stopped_; }
  /// What was held back, when no more tokens come.
  std::string finish();

 private:
  std::string give(size_t end);

  const Tokenizer& tokenizer_;
  std::vector<std::string> stops_;
  Ids ids_;
  std::string text_;  // of all ids
  size_t given_ = 0;  // bytes of it
  bool stopped_ = false;
};

}  // namespace dept
