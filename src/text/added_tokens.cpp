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

AddedTokens::AddedTokens(const Json& json, const Vocabulary& model, const Normalizer* normalizer, const std::string& where) {
  if (!json.is_null() && !json.is_array()) fail(Code::bad_input, where, "a list", kind_of(json));
  next_id_ = static_cast<int64_t>(model.size());
  for (size_t i = 0; i < json.size(); ++i) read(json[i], model, str(where, "[", i, "]"));
  index(normalizer);
}

void AddedTokens::read(const Json& entry, const Vocabulary& model, const std::string& where) {
  AddedToken token;
  token.content = require<std::string>(entry, "content", where);
  if (token.content.empty()) return;
  token.special = value_or(entry, "special", false, where);
  token.single_word = value_or(entry, "single_word", false, where);
  token.lstrip = value_or(entry, "lstrip", false, where);
  token.rstrip = value_or(entry, "rstrip", false, where);
  token.normalized = value_or(entry, "normalized", !token.special, where);
  const int32_t same = by_content_.find(token.content);
  token.id = same != Vocabulary::absent ? tokens_[same].id : model.find(token.content);
  if (token.id == Vocabulary::absent) token.id = static_cast<int32_t>(next_id_++);
  // A model trained with the id that the file gives, and not with the one that counting gives, would be silently wrong.
  const auto stated = require<int64_t>(entry, "id", where);
  if (stated != token.id) fail(Code::bad_input, where, str("the id ", token.id, " for ", quote(token.content)), str(stated));
  if (same != Vocabulary::absent) {
    tokens_[same] = std::move(token);
    return;
  }
  if (by_content_.add(token.content, static_cast<int64_t>(tokens_.size())) != Vocabulary::Added::yes)
    fail(Code::bad_input, where, str("at most ", Vocabulary::max_id, " added tokens"), "more");
  tokens_.push_back(std::move(token));
}

void AddedTokens::index(const Normalizer* normalizer) {
  spellings_.resize(tokens_.size());
  std::vector<std::pair<std::string_view, int32_t>> keys[2];
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const AddedToken& token = tokens_[i];
    if (!(token.normalized && normalizer && normalizer->apply(token.content, spellings_[i]))) spellings_[i] = token.content;
    by_id_[token.id] = static_cast<int32_t>(i);
    if (!spellings_[i].empty()) keys[token.normalized].emplace_back(spellings_[i], static_cast<int32_t>(i));
  }
  for (const bool normalized : {false, true}) {
    Matcher& matcher = normalized ? normalized_ : raw_;
    matcher.empty = keys[normalized].empty();
    for (const auto& [key, value] : keys[normalized]) matcher.starts[static_cast<uint8_t>(key[0])] = true;
    matcher.trie = Trie(std::move(keys[normalized]));
  }
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
  return spellings_[by_id_.at(id)];
}

bool AddedTokens::is_special(std::string_view spelling) const {
  const AddedToken* token = find(spelling);
  return token != nullptr && token->special;
}

}  // namespace dept
