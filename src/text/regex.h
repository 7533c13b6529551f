// Oniguruma's patterns (as tokenizer.json holds them) matched by PCRE2.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace dept {

struct Match {
  size_t begin, end;
};

class Regex {
 public:
  /// Throws bad_input naming `where` for a pattern that cannot be compiled or means something else to PCRE2.
  Regex(std::string_view pattern, std::string where);
  ~Regex();

  /// Successive matches, none overlapping, left to right; the text is valid UTF-8. Throws bad_input when the pattern
  /// gives up on the text (its backtracking is limited).
  void find_all(std::string_view text, std::vector<Match>& out) const;

 private:
  struct Code;
  std::unique_ptr<Code> code_;
  std::string where_;
};

}  // namespace dept
