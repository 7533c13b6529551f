#include <algorithm>
#include <cmath>
#include <limits>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "text/json_fields.h"
#include "text/model.h"
#include "text/trie.h"
#include "text/unicode.h"

namespace dept {
namespace {

class Unigram : public Model {
 public:
  Unigram(const Json& json, const std::string& where);
  void encode(std::string_view word, Ids& out) const override;

 private:
  struct Best {  // the best way to reach a byte of the word
    double score = 0;
    int32_t id = -1;
    uint32_t begin = none;
    static constexpr uint32_t none = UINT32_MAX;
  };
  void search(std::string_view word, std::vector<Best>& best) const;
  void push_unknown(std::string_view piece, int64_t unknown, Ids& out) const;

  Trie trie_;
  std::vector<double> scores_;
  double unk_score_;
  bool byte_fallback_;
  std::string where_;
};

Unigram::Unigram(const Json& json, const std::string& where) : where_(where) {
  const Json& vocab = member(json, "vocab", where);
  const std::string where_vocab = where + ": vocab";
  if (!vocab.is_array() || vocab.empty()) fail(Code::bad_input, where_vocab, "a list of pieces and scores", kind_of(vocab));
  std::vector<std::pair<std::string_view, int32_t>> keys;
  keys.reserve(vocab.size());
  scores_.reserve(vocab.size());
  vocabulary_.reserve(vocab.size(), vocab.size() * 8);
  double lowest = std::numeric_limits<double>::infinity();
  for (const Json& entry : vocab) {
    const auto id = static_cast<int32_t>(scores_.size());
    const std::string here = str(where_vocab, "[", id, "]");
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number())
      fail(Code::bad_input, here, "[piece, score]", entry.is_array() ? quote(entry.dump()) : kind_of(entry));
    const std::string_view piece = entry[0].get_ref<const std::string&>();
    scores_.push_back(entry[1].get<double>());
    if (!std::isfinite(scores_.back())) fail(Code::bad_input, here, "a finite score", kind_of(entry[1]));
    lowest = std::min(lowest, scores_.back());
    const auto added = vocabulary_.add(piece, id);
    if (added == Vocabulary::Added::bad_id)
      fail(Code::bad_input, where_vocab, str("at most ", Vocabulary::max_id, " pieces"), str(vocab.size()));
    if (added == Vocabulary::Added::token_known) fail(Code::bad_input, here, "each piece once", str(quote(piece), " twice"));
    if (!piece.empty()) keys.emplace_back(piece, id);
  }
  trie_ = Trie(std::move(keys));
  unk_score_ = lowest - 10;
  byte_fallback_ = value_or(json, "byte_fallback", false, where);
  if (json.contains("unk_id") && !json["unk_id"].is_null()) {
    unk_id_ = require<int64_t>(json, "unk_id", where);
    if (!vocabulary_.contains(*unk_id_))
      fail(Code::bad_input, where + ": unk_id", str("an id below ", vocab.size()), str(*unk_id_));
  }
}

// Viterbi, left to right in double precision; a later path wins only when it is strictly better.
void Unigram::search(std::string_view word, std::vector<Best>& best) const {
  best.assign(word.size() + 1, {});
  const auto reach = [&](size_t end, double score, int32_t id, size_t begin) {
    Best& target = best[end];
    if (target.begin == Best::none || score > target.score) target = {score, id, static_cast<uint32_t>(begin)};
  };
  for (size_t at = 0; at < word.size();) {
    const double score = best[at].score;
    const size_t length = unicode::decode(word, at).length;
    bool single = false;
    uint32_t node = Trie::root;
    for (size_t end = at; end < word.size();) {
      node = trie_.child(node, static_cast<uint8_t>(word[end++]));
      if (node == Trie::none) break;
      const int32_t id = trie_.value(node);
      if (id < 0) continue;
      reach(end, scores_[id] + score, id, at);
      single |= end - at == length;
    }
    if (!single) {
      if (!unk_id_)
        fail(Code::bad_input, where_, "characters of the vocabulary, which has no unknown token", quote(word.substr(at, length)));
      reach(at + length, unk_score_ + score, static_cast<int32_t>(*unk_id_), at);
    }
    at += length;
  }
}

// A run of unknown characters is one token, spelled in bytes where the vocabulary can.
void Unigram::push_unknown(std::string_view piece, int64_t unknown, Ids& out) const {
  const int32_t whole = vocabulary_.find(piece);
  if (whole != Vocabulary::absent) return out.push_back(whole);
  if (byte_fallback_) {
    static constexpr char hex[] = "0123456789ABCDEF";
    Ids bytes;
    for (const char c : piece) {
      const auto byte = static_cast<uint8_t>(c);
      bytes.push_back(vocabulary_.find(std::string{'<', '0', 'x', hex[byte >> 4], hex[byte & 15], '>'}));
    }
    if (std::find(bytes.begin(), bytes.end(), Vocabulary::absent) == bytes.end()) {
      out.insert(out.end(), bytes.begin(), bytes.end());
      return;
    }
  }
  out.push_back(unknown);
}

void Unigram::encode(std::string_view word, Ids& out) const {
  if (word.size() >= UINT32_MAX) fail(Code::bad_input, "text", "words under 4 GB", str(word.size(), " bytes"));
  thread_local std::vector<Best> best;  // as long as the longest word so far
  search(word, best);
  struct Step {
    int32_t id;
    uint32_t begin, end;
  };
  std::vector<Step> path;
  for (auto end = static_cast<uint32_t>(word.size()); end > 0; end = best[end].begin) {
    const Best& step = best[end];
    const bool fuse = unk_id_ && step.id == *unk_id_ && !path.empty() && path.back().id == *unk_id_;
    if (fuse)
      path.back().begin = step.begin;
    else
      path.push_back({step.id, step.begin, end});
  }
  for (auto step = path.rbegin(); step != path.rend(); ++step) {
    if (unk_id_ && step->id == *unk_id_)
      push_unknown(word.substr(step->begin, step->end - step->begin), *unk_id_, out);
    else
      out.push_back(step->id);
  }
}

}  // namespace

std::unique_ptr<Model> make_unigram(const Json& json, const std::string& where) {
  return std::make_unique<Unigram>(json, where);
}

}  // namespace dept
