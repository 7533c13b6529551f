// The "pattern" field of Split and Replace: plain text or a regular expression.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dept/base/json.h"
#include "text/regex.h"

namespace dept {

/// GPT-2's pattern (Radford et al. 2019), as tokenizer.json files spell it.
inline constexpr std::string_view gpt2_pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// Llama 3's.
inline constexpr std::string_view llama3_pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

/// Qwen 2's: Llama 3's with each digit by itself.
inline constexpr std::string_view qwen2_pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

/// The end of the match of gpt2_pattern that begins at `at` (it matches everywhere), found without a regex engine.
size_t gpt2_match_end(std::string_view text, size_t at);

/// Throws bad_input when rewriting makes a text of `before` bytes absurdly long: a file could otherwise eat all memory.
void require_bounded(size_t before, size_t after);

class Pattern {
 public:
  /// From {"pattern": {"String": text} or {"Regex": text}}.
  Pattern(const Json& json, const std::string& where);

  void find_all(std::string_view text, std::vector<Match>& out) const;
  /// False when nothing matches; `out` then holds nothing of use.
  bool replace_all(std::string_view text, std::string_view content, std::string& out) const;

 private:
  std::string text_;              // plain text, unless
  std::unique_ptr<Regex> regex_;  // a pattern, or
  bool gpt2_ = false;             // GPT-2's
};

}  // namespace dept
