#include <algorithm>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "text/json_fields.h"
#include "text/model.h"
#include "text/trie.h"
#include "text/unicode.h"

namespace dept {
namespace {

class WordPiece : public Model {
 public:
  WordPiece(const Json& json, const std::string& where);
  void encode(std::string_view word, Ids& out) const override;

 private:
  Trie trie_;
  uint32_t inside_ = Trie::root;  // the node of the prefix that marks a word's later pieces; none: no such piece
  int64_t unknown_;               // what unk_id says
  int64_t max_points_;
};

WordPiece::WordPiece(const Json& json, const std::string& where) {
  const Json& vocab = member(json, "vocab", where);
  read_vocabulary(vocab, vocabulary_, where + ": vocab");
  const auto unk = value_or<std::string>(json, "unk_token", "[UNK]", where);
  const int32_t id = vocabulary_.find(unk);
  if (id == Vocabulary::absent) fail(Code::bad_input, where + ": unk_token", "a token of the vocabulary", quote(unk));
  unk_id_ = unknown_ = id;
  max_points_ = value_or<int64_t>(json, "max_input_chars_per_word", 100, where);
  std::vector<std::pair<std::string_view, int32_t>> keys;
  keys.reserve(vocab.size());
  for (const auto& [token, id] : vocab.get_ref<const Json::object_t&>())
    if (!token.empty()) keys.emplace_back(token, id.get<int32_t>());
  trie_ = Trie(std::move(keys));
  for (const char byte : value_or<std::string>(json, "continuing_subword_prefix", "##", where))
    if (inside_ != Trie::none) inside_ = trie_.child(inside_, static_cast<uint8_t>(byte));
}

// The longest piece each time; a word with any place where none fits, or an overlong one, is unknown as a whole.
void WordPiece::encode(std::string_view word, Ids& out) const {
  const size_t before = out.size();
  bool known = static_cast<int64_t>(unicode::count_points(word)) <= max_points_;
  for (size_t at = 0; known && at < word.size();) {
    uint32_t node = at == 0 ? Trie::root : inside_;
    size_t best_end = at;
    int32_t best_id = -1;
    for (size_t end = at; node != Trie::none && end < word.size();) {
      node = trie_.child(node, static_cast<uint8_t>(word[end++]));
      if (node != Trie::none && trie_.value(node) >= 0) {
        best_end = end;
        best_id = trie_.value(node);
      }
    }
    known = best_id >= 0;
    if (known) out.push_back(best_id);
    at = best_end;
  }
  if (known) return;
  out.resize(before);
  out.push_back(unknown_);
}

}  // namespace

std::unique_ptr<Model> make_wordpiece(const Json& json, const std::string& where) {
  return std::make_unique<WordPiece>(json, where);
}

}  // namespace dept
