#include "text/added_tokens.h"

#include <algorithm>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "text/json_fields.h"
#include "text/unicode.h"

namespace dept {
namespace {

bool has_class(char32_t point, uint32_t bits) {
  return (unicode::classes[point] & bits) != 0;
}

// No \w touches text[begin, end).
bool stands_alone(std::string_view text, size_t begin, size_t end) {
  if (begin > 0 && has_class(unicode::decode_before(text, begin).point, unicode::word)) return false;
  return end == text.size() || !has_class(unicode::decode(text, end).point, unicode::word);
}

}  // namespace

void AddedTokens::begin_batch() {
  next_id_ = static_cast<int64_t>(model_.size());
  for (const AddedToken& token : tokens_) next_id_ = std::max(next_id_, int64_t{token.id} + 1);
}

void AddedTokens::add(const Json& entry, const std::string& where) {
  AddedToken token;
  token.content = require<std::string>(entry, "content", where);
  if (token.content.empty()) return;
  token.special = value_or(entry, "special", false, where);
  token.single_word = value_or(entry, "single_word", false, where);
  token.lstrip = value_or(entry, "lstrip", false, where);
  token.rstrip = value_or(entry, "rstrip", false, where);
  token.normalized = value_or(entry, "normalized", !token.special, where);
  const int32_t same = by_content_.find(token.content);
  token.id = same != Vocabulary::absent ? tokens_[same].id : model_.find(token.content);
  if (token.id == Vocabulary::absent) token.id = static_cast<int32_t>(next_id_++);
  // A model trained with the id that the file gives, and not with the one that counting gives, would be silently wrong.
  const auto stated = value_or<int64_t>(entry, "id", token.id, where);
  if (stated != token.id) fail(Code::bad_input, where, str("the id ", token.id, " for ", quote(token.content)), str(stated));
  if (same == Vocabulary::absent) {
    if (by_content_.add(token.content, static_cast<int64_t>(tokens_.size())) != Vocabulary::Added::yes)
      fail(Code::bad_input, where, str("at most ", Vocabulary::max_id, " added tokens"), "more");
    by_id_[token.id] = static_cast<int32_t>(tokens_.size());
    tokens_.emplace_back();
    spellings_.push_back(token.content);
    ever_special_.push_back(false);
  }
  const size_t index = same == Vocabulary::absent ? tokens_.size() - 1 : static_cast<size_t>(same);
  if (tokens_[index] == token) return;
  std::string normal;
  if (token.normalized && normalizer_ && normalizer_->apply(token.content, normal)) spellings_[index] = normal;
  if (token.special) ever_special_[index] = true;
  tokens_[index] = std::move(token);
}

void AddedTokens::finish(bool split_special, bool as_written) {
  std::vector<std::pair<std::string_view, int32_t>> keys[2];
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const bool normalized = tokens_[i].normalized;
    const std::string& key = normalized ? spellings_[i] : tokens_[i].content;
    if (!key.empty()) keys[normalized].emplace_back(key, static_cast<int32_t>(i));
  }
  for (const bool normalized : {false, true}) {
    Matcher& matcher = normalized ? normalized_ : raw_;
    matcher.empty = keys[normalized].empty();
    for (const auto& [key, value] : keys[normalized]) matcher.starts[static_cast<uint8_t>(key[0])] = true;
    matcher.trie = Trie(std::move(keys[normalized]));
  }
  split_special_ = split_special;
  as_written_ = as_written;
}

// Leftmost, then longest. A match that must stand alone and does not is passed over as a whole.
void AddedTokens::cut(const Matcher& matcher, std::string_view text, std::vector<Segment>& out) const {
  if (matcher.empty) {
    if (!text.empty()) out.push_back({text});
    return;
  }
  size_t done = 0;
  for (size_t at = 0; at < text.size();) {
    const auto [length, index] = matcher.starts[static_cast<uint8_t>(text[at])] ? matcher.trie.longest_prefix(text.substr(at))
                                                                                : std::pair<size_t, int32_t>{0, -1};
    if (length == 0) {
      ++at;
      continue;
    }
    size_t begin = at, end = at + length;
    at = end;
    const AddedToken& token = tokens_[index];
    if (split_special_ && ever_special_[index]) continue;
    if (token.single_word && !stands_alone(text, begin, end)) continue;
    if (token.lstrip) {
      while (begin > done) {
        const unicode::Decoded before = unicode::decode_before(text, begin);
        if (!has_class(before.point, unicode::space)) break;
        begin -= before.length;
      }
    }
    if (token.rstrip) {
      while (end < text.size() && has_class(unicode::decode(text, end).point, unicode::space))
        end += unicode::decode(text, end).length;
    }
    if (done < begin) out.push_back({text.substr(done, begin - done)});
    out.push_back({text.substr(begin, end - begin), index});
    done = end;
  }
  if (done < text.size()) out.push_back({text.substr(done)});
}

const AddedToken* AddedTokens::find(std::string_view content) const {
  const int32_t found = by_content_.find(content);
  return found == Vocabulary::absent ? nullptr : &tokens_[found];
}

const AddedToken* AddedTokens::find(int64_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &tokens_[found->second];
}

std::string_view AddedTokens::spelling(int64_t id) const {
  const int32_t index = by_id_.at(id);
  return as_written_ ? tokens_[index].content : spellings_[index];
}

bool AddedTokens::is_special(std::string_view spelling) const {
  const int32_t found = by_content_.find(spelling);
  return found != Vocabulary::absent && ever_special_[found];
}

}  // namespace dept
