#include <algorithm>
#include <array>

#include "dept/tasks/caption_metrics.h"
#include "dept/text/unicode.h"
#include "tasks/answer_text.h"

namespace dept {
namespace {

// Words that keep the full stop behind them.
constexpr std::string_view abbreviations =
    "mr mrs ms dr st prof gen col capt lt sgt rev sen rep gov pres hon jr sr inc co corp ltd ave blvd rd mt ft vs etc jan feb "
    "mar apr "
    "jun jul aug sep sept oct nov dec mon tue tues wed thu thurs fri est dept univ assn bros ext tel ala ariz calif colo conn "
    "fla ga "
    "ind kan ky md mich minn mo mont neb nev okla penn tenn va vt wis wyo messrs mme mlle adm maj cpl pvt cmdr atty supt det sq "
    "ct "
    "bldg ste cf al mfg natl intl cos plc elec ph.d";
constexpr std::string_view behind_apostrophe[] = {"s", "m", "d", "ll", "re", "ve"};
constexpr std::string_view kept_with_apostrophe[] = {"cause", "em", "til", "n"};
constexpr std::string_view joined_by_apostrophe[] = {"ma'am", "c'mon", "ne'er"};
/// Two words in one, and where the second begins.
constexpr std::pair<std::string_view, size_t> joined_words[] = {{"cannot", 3}, {"gonna", 3}, {"gotta", 3},
                                                                {"lemme", 3},  {"gimme", 3}, {"wanna", 3}};

bool is_one_of(std::string_view word, std::span<const std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// "u.s", "p.m", "j.r.r", also behind a hyphen: single letters with full stops between them.
bool is_acronym(std::string_view word) {
  word = word.substr(word.rfind('-') + 1);
  for (size_t i = 0; i < word.size(); ++i) {
    const bool letter = (word[i] >= 'a' && word[i] <= 'z') || (word[i] >= 'A' && word[i] <= 'Z');
    if (i % 2 == 0 ? !letter : word[i] != '.') return false;
  }
  return word.size() % 2 == 1;
}

/// The rules of the Penn Treebank's tokenizer that plain English meets, from left to right.
class CaptionSplitter {
 public:
  explicit CaptionSplitter(std::string_view text) {
    for (size_t at = 0; at < text.size();) {
      const auto [point, length] = unicode::decode(text, at);
      add_plain(point);
      at += length;
    }
  }

  CaptionWords split() {
    while (at_ < points_.size()) take();
    return std::move(words_);
  }

 private:
  // Quotes, dashes and dots of books become those of typewriters; fractions and currencies are written out.
  void add_plain(char32_t point) {
    static constexpr std::pair<char32_t, std::u32string_view> written[] = {
        {U'\u2018', U"'"},   {U'\u2019', U"'"},   {U'\u201C', U"\""},     {U'\u201D', U"\""},    {U'\u2013', U" - "},
        {U'\u2014', U" - "}, {U'\u2026', U" "},   {U'\u00BD', U" 1/2 "},  {U'\u00BC', U" 1/4 "}, {U'\u00BE', U" 3/4 "},
        {U'\u20AC', U" $ "}, {U'\u00A3', U" # "}, {U'\u00A2', U" cents "}};
    for (const auto& [from, to] : written)
      if (point == from) {
        points_ += to;
        return;
      }
    points_ += point;
  }

  char32_t peek(size_t ahead) const { return at_ + ahead < points_.size() ? points_[at_ + ahead] : U' '; }
  static bool is_digit_point(char32_t point) { return point >= U'0' && point <= U'9'; }
  static bool is_capital(char32_t point) { return point >= U'A' && point <= U'Z'; }
  static bool is_letter_point(char32_t point) { return (unicode::classes[point] & (unicode::letter | unicode::combining)) != 0; }
  static bool in_word(char32_t point) { return is_letter_point(point) || is_digit_point(point) || point == U'_'; }

  // Whether the letters from `ahead` on are `word` and no more of a word follows.
  bool follows(size_t ahead, std::string_view word) const {
    for (size_t i = 0; i < word.size(); ++i) {
      const char32_t point = peek(ahead + i);
      if ((is_capital(point) ? point + 32 : point) != static_cast<char32_t>(word[i])) return false;
    }
    return !in_word(peek(ahead + word.size()));
  }

  void put(size_t length) {
    std::string word;
    for (size_t i = 0; i < length; ++i) unicode::append_lower(points_[at_ + i], word);
    at_ += length;
    for (const auto& [joined, second] : joined_words)
      if (word == joined) {
        words_.push_back(word.substr(0, second));
        word.erase(0, second);
        break;
      }
    words_.push_back(std::move(word));
  }

  void take() {
    const char32_t point = peek(0);
    if (unicode::is_python_space(point)) {
      ++at_;
    } else if (point == U'\'') {
      take_apostrophe();
    } else if (in_word(point) || (is_digit_point(peek(1)) && (point == U'.' || point == U'-' || point == U'+')) ||
               (is_letter_point(peek(1)) && (point == U'#' || point == U'@'))) {
      take_word();
    } else {
      take_mark(point);
    }
  }

  // Punctuation is left out, but for brackets and marks of several characters, whose names the list of marks does not have.
  void take_mark(char32_t point) {
    static constexpr std::pair<char32_t, std::string_view> brackets[] = {{U'(', "-lrb-"}, {U')', "-rrb-"}, {U'[', "-lsb-"},
                                                                         {U']', "-rsb-"}, {U'{', "-lcb-"}, {U'}', "-rcb-"}};
    for (const auto& [bracket, name] : brackets)
      if (point == bracket) words_.emplace_back(name);
    size_t length = 1;
    const auto calls = [&](size_t ahead) { return peek(ahead) == U'!' || peek(ahead) == U'?'; };
    while (calls(0) && calls(length)) ++length;
    if (length == 1 && std::u32string_view(U".,:;?!\"`-()[]{}").find(point) != std::u32string_view::npos)
      ++at_;
    else
      put(length);
  }

  void take_apostrophe() {
    for (const std::string_view ending : behind_apostrophe)
      if (follows(1, ending)) return put(1 + ending.size());
    if (peek(1) == U'n' && peek(2) == U'\'') return put(3);  // rock 'n' roll
    for (const std::string_view word : kept_with_apostrophe)
      if (follows(1, word)) return put(1 + word.size());
    for (const std::string_view word : {"tis", "twas"})
      if (follows(1, word)) {
        put(2);
        return put(word.size() - 1);
      }
    const bool year = is_digit_point(peek(1)) && is_digit_point(peek(2));  // '08, '80s
    const size_t length = peek(3) == U's' ? 4 : 3;
    if (year && !in_word(peek(length)) && peek(length) != U'"') return put(length);
    ++at_;
  }

  void take_word() {
    size_t length = 1;
    bool clock = false;  // a colon between digits: 10:45
    for (;; ++length) {
      const char32_t here = peek(length), before = peek(length - 1), after = peek(length + 1);
      if (here == U'\'') {
        if (!joins_by_apostrophe(length)) break;
      } else if (in_word(here)) {
        if (clock && is_letter_point(here)) break;
      } else if (!in_word(before) || !in_word(after) || !joins(here, before, after) ||
                 (here == U'.' && is_digit_point(peek(0)) && is_letter_point(before))) {  // 3p.m.
        break;
      }
      clock |= here == U':';
    }
    end_word(length);
  }

  static bool joins(char32_t mark, char32_t before, char32_t after) {
    const bool digits = is_digit_point(before) && is_digit_point(after);
    switch (mark) {
      case U'-':
      case U'/':
      case U'.':
      case U'@':
        return true;
      case U',':
      case U':':
        return digits;
      case U'&':
        return is_capital(before) && is_capital(after);
      default:
        return false;
    }
  }

  // o'clock, d'you, ma'am; others end at the apostrophe.
  bool joins_by_apostrophe(size_t length) const {
    const bool one_letter = std::u32string_view(U"oOdDlL").find(peek(0)) != std::u32string_view::npos;
    if (length == 1 && one_letter && is_letter_point(peek(2)) && !clitic_at(1)) return true;
    return std::any_of(std::begin(joined_by_apostrophe), std::end(joined_by_apostrophe),
                       [&](std::string_view word) { return length == word.find('\'') && follows(0, word); });
  }
  bool clitic_at(size_t ahead) const {
    return std::any_of(std::begin(behind_apostrophe), std::end(behind_apostrophe),
                       [&](std::string_view ending) { return follows(ahead + 1, ending); });
  }

  void end_word(size_t length) {
    const char32_t last = peek(length - 1);
    if (peek(length) == U'\'' && (last == U'n' || last == U'N') && follows(length + 1, "t")) {  // is n't
      if (length > 1) put(length - 1);
      return put(3);
    }
    const bool all = length == 1 && follows(0, "y") && is_letter_point(peek(2));  // y' all
    if (peek(length) == U'\'' && (all || (length == 2 && follows(0, "ol")))) return put(length + 1);
    put(keeps_full_stop(length) ? length + 1 : length);
  }

  bool keeps_full_stop(size_t length) const {
    if (peek(length) != U'.') return false;
    std::string word;
    for (size_t i = 0; i < length; ++i) unicode::append_lower(peek(i), word);
    static const std::vector<std::string_view> known = split_words(abbreviations);
    return is_acronym(word) || is_one_of(word, known);
  }

  std::u32string points_;
  size_t at_ = 0;
  CaptionWords words_;
};

}  // namespace

CaptionWords caption_words(std::string_view caption) {
  return CaptionSplitter(caption).split();
}

}  // namespace dept
