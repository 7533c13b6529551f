#include "serve/token_text.h"

#include <algorithm>
#include <vector>

namespace dept::serve {

int64_t characters(const std::string& text) {
  return std::count_if(text.begin(), text.end(), [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; });
}

// What the id adds behind the one in front of it: blanks are often told by both.
std::string TokenTexts::text_of(int64_t id, bool skip_special_tokens) const {
  if (!tokenizer_->contains(id)) return "";
  const Ids alone = {id};
  if (!previous_ || !tokenizer_->contains(*previous_)) return tokenizer_->decode(alone, skip_special_tokens);
  const Ids both = {*previous_, id};
  const std::string front = tokenizer_->decode(std::span(both).first(1), skip_special_tokens);
  std::string whole = tokenizer_->decode(both, skip_special_tokens);
  return whole.starts_with(front) ? whole.substr(front.size()) : tokenizer_->decode(alone, skip_special_tokens);
}

TokenLogprob TokenTexts::next(int64_t id, const TokenScores* scores) {
  TokenLogprob token{id, text_of(id, false), offset_, std::nullopt, {}};
  if (scores != nullptr) {
    token.logprob = scores->logprob;
    bool among = false;
    for (const auto& [other, logprob] : scores->best) {
      token.top.push_back({other, text_of(other, false), logprob});
      among |= other == id;
    }
    if (!among) token.top.push_back({id, token.text, scores->logprob});
  }
  offset_ += characters(text_of(id, true));
  previous_ = id;
  return token;
}

}  // namespace dept::serve
