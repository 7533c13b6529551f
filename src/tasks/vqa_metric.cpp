#include "dept/tasks/vqa_metric.h"

#include <algorithm>
#include <map>
#include <set>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/text/unicode.h"
#include "tasks/answer_text.h"

namespace dept {
namespace {

constexpr std::string_view vqa_punctuation = ";/[]\"{}()=+\\_-><@`,?!";

const std::map<std::string_view, std::string_view> number_words = {{"none", "0"},  {"zero", "0"},  {"one", "1"},  {"two", "2"},
                                                                   {"three", "3"}, {"four", "4"},  {"five", "5"}, {"six", "6"},
                                                                   {"seven", "7"}, {"eight", "8"}, {"nine", "9"}, {"ten", "10"}};

// The contractions of VQA's evaluation. Each is written for itself without any one of its apostrophes.
constexpr std::string_view contracted_forms =
    "ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've he's "
    "how'd "
    "how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've needn't not've o'clock oughtn't "
    "'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've "
    "someone'll someone's something'd something'd've something'll that's there'd there'd've there're there's they'd they'd've "
    "they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's what've when's where'd where's where've "
    "who'd who'd've who'll who's who've why'll why're why's won't would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd "
    "you'd've you'll you're you've";

std::map<std::string, std::string> make_contractions() {
  std::map<std::string, std::string> table{{"somebody'd", "somebodyd"}};  // the wrong way round, as it stands there
  for (const std::string_view form : split_words(contracted_forms))
    for (size_t at = form.find('\''); at != std::string_view::npos; at = form.find('\'', at + 1)) {
      std::string without(form);
      table.emplace(without.erase(at, 1), form);
    }
  return table;
}

bool is_decimal_digit(char c) {
  return c >= '0' && c <= '9';
}

// Whether a comma stands between two digits anywhere.
bool has_comma_in_number(std::string_view text) {
  for (size_t i = 1; i + 1 < text.size(); ++i)
    if (text[i] == ',' && is_decimal_digit(text[i - 1]) && is_decimal_digit(text[i + 1])) return true;
  return false;
}

// A mark disappears everywhere where a blank stands beside it anywhere; else it becomes a blank. A full stop disappears unless a
// digit follows.
std::string without_punctuation(std::string_view text) {
  const bool remove_all = has_comma_in_number(text);
  std::set<char> removed;
  for (const char mark : vqa_punctuation)
    if (remove_all || text.find(std::string{mark, ' '}) != text.npos || text.find(std::string{' ', mark}) != text.npos)
      removed.insert(mark);
  std::string out;
  for (const char c : text) {
    if (vqa_punctuation.find(c) == vqa_punctuation.npos)
      out += c;
    else if (removed.count(c) == 0)
      out += ' ';
  }
  std::string kept;
  for (size_t i = 0; i < out.size(); ++i)
    if (out[i] != '.' || (i + 1 < out.size() && is_decimal_digit(out[i + 1]))) kept += out[i];
  return kept;
}

std::string in_lower_case(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const auto [point, length] = unicode::decode(text, at);
    unicode::append_lower(point, out);
    at += length;
  }
  return out;
}

std::string without_articles_and_number_words(std::string_view text) {
  static const std::map<std::string, std::string> contractions = make_contractions();
  std::string out;
  for (std::string_view word : split_words(text)) {
    if (const auto number = number_words.find(word); number != number_words.end()) word = number->second;
    if (word == "a" || word == "an" || word == "the") continue;
    const auto contraction = contractions.find(std::string(word));
    if (!out.empty()) out += ' ';
    out += contraction != contractions.end() ? std::string_view(contraction->second) : word;
  }
  return out;
}

}  // namespace

std::string normalise_vqa_answer(std::string_view answer) {
  std::string text(answer);
  std::replace(text.begin(), text.end(), '\n', ' ');
  std::replace(text.begin(), text.end(), '\t', ' ');
  return without_articles_and_number_words(in_lower_case(without_punctuation(unicode::strip(text))));
}

double vqa_accuracy(std::string_view answer, std::span<const std::string> people) {
  if (people.empty()) fail(Code::bad_input, "vqa_accuracy", "at least one answer to compare with", "none");
  const std::string normal = normalise_vqa_answer(answer);
  const auto equal = std::count_if(people.begin(), people.end(),
                                   [&](const std::string& given) { return normalise_vqa_answer(given) == normal; });
  if (people.size() == 1) return static_cast<double>(equal);
  const auto of = [](int64_t matches) { return std::min(1.0, static_cast<double>(matches) / 3); };
  const auto all = static_cast<int64_t>(people.size());
  const double with_equal_left_out = equal == 0 ? 0 : static_cast<double>(equal) * of(equal - 1);
  return (with_equal_left_out + static_cast<double>(all - equal) * of(equal)) / static_cast<double>(all);
}

}  // namespace dept
