#include <gtest/gtest.h>

#include "dept/base/text.h"
#include "dept/text/text_stream.h"

namespace dept {
namespace {

/// A token is a byte; what is not UTF-8 becomes U+FFFD, one for each byte.
class Bytes : public Tokenizer {
 public:
  Ids encode(std::string_view text, const EncodeOptions&) const override {
    Ids ids;
    for (const char byte : text) ids.push_back(static_cast<uint8_t>(byte));
    return ids;
  }
  Ids encode_pair(std::string_view text, std::string_view, const EncodeOptions& options) const override {
    return encode(text, options);
  }
  std::string decode(std::span<const int64_t> ids, bool) const override {
    std::string bytes, text;
    for (const int64_t id : ids) bytes += static_cast<char>(id);
    for (size_t bad; (bad = find_invalid_utf8(bytes)) != std::string::npos; bytes.erase(0, bad + 1))
      text += bytes.substr(0, bad) + "\xEF\xBF\xBD";
    return text + bytes;
  }
  int64_t vocab_size() const override { return 256; }
  std::optional<int64_t> token_to_id(std::string_view) const override { return std::nullopt; }
  std::string id_to_token(int64_t) const override { return ""; }
  std::vector<std::pair<std::string, std::string>> files() const override { return {}; }
};

/// The parts given out token by token; finish() is the last.
std::vector<std::string> parts(const std::string& bytes, const std::vector<std::string>& stops = {}) {
  const Bytes tokenizer;
  TextStream stream(tokenizer, stops);
  std::vector<std::string> out;
  for (const int64_t id : tokenizer.encode(bytes, {})) {
    out.push_back(stream.add(id));
    if (stream.stopped()) break;
  }
  out.push_back(stream.finish());
  return out;
}

using Parts = std::vector<std::string>;

TEST(TextStream, GivesWholeCharacters) {
  EXPECT_EQ(parts("a\xC3\xA9"
                  "b"),
            (Parts{"a", "", "\xC3\xA9", "b", ""}));
  EXPECT_EQ(parts("\xF0\x9F\x98\x80!"), (Parts{"", "", "", "\xF0\x9F\x98\x80", "!", ""}));
}

TEST(TextStream, GivesBrokenBytesWhenTheyStayBroken) {
  EXPECT_EQ(parts("a\xC3"
                  "b"),
            (Parts{"a", "",
                   "\xEF\xBF\xBD"
                   "b",
                   ""}));
  EXPECT_EQ(parts("a\xC3"), (Parts{"a", "", "\xEF\xBF\xBD"}));
}

/// Bytes up to 0x7F are letters of their own; the others fall back to tokens like <0xC3>, and a run of those is text or U+FFFD
/// each.
class ByteFallback : public Bytes {
 public:
  std::string decode(std::span<const int64_t> ids, bool) const override {
    std::string text, run;
    const auto end_run = [&] {
      if (find_invalid_utf8(run) == std::string::npos)
        text += run;
      else
        for (size_t i = 0; i < run.size(); ++i) text += "\xEF\xBF\xBD";
      run.clear();
    };
    for (const int64_t id : ids) {
      if (id < 0x80) end_run();
      (id < 0x80 ? text : run) += static_cast<char>(id);
    }
    end_run();
    return text;
  }
  std::string id_to_token(int64_t id) const override {
    return id < 0x80 ? std::string(1, static_cast<char>(id)) : str("<0x", id == 0xC3 ? "C3" : id == 0xA9 ? "A9" : "FF", ">");
  }
};

TEST(TextStream, BytesThatLaterOnesSpoilAreNotShown) {
  const ByteFallback tokenizer;
  const auto shown = [&](const Ids& ids) {
    TextStream stream(tokenizer, {});
    Parts out;
    for (const int64_t id : ids) out.push_back(stream.add(id));
    out.push_back(stream.finish());
    return out;
  };
  EXPECT_EQ(shown({'a', 0xC3, 0xA9, 'b'}), (Parts{"a", "", "",
                                                  "\xC3\xA9"
                                                  "b",
                                                  ""}));
  EXPECT_EQ(shown({'a', 0xC3, 0xA9, 0xFF, 'b'}), (Parts{"a", "", "", "",
                                                        "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"
                                                        "b",
                                                        ""}));
  EXPECT_EQ(shown({0xC3, 0xA9}), (Parts{"", "", "\xC3\xA9"}));
}

TEST(TextStream, HoldsBackWhatMayBecomeAStop) {
  EXPECT_EQ(parts("one two", {"tx"}), (Parts{"o", "n", "e", " ", "", "tw", "o", ""}));
  EXPECT_EQ(parts("a stop b", {"stop", "sto!"}), (Parts{"a", " ", "", "", "", "", ""}));
  EXPECT_EQ(parts("a st", {"stop"}), (Parts{"a", " ", "", "", "st"}));
  EXPECT_EQ(parts("aab", {"ab"}), (Parts{"", "a", "", ""}));
}

TEST(TextStream, FindsTheFirstStop) {
  EXPECT_EQ(find_stop("one two", {"two", "one"}), 0u);
  EXPECT_EQ(find_stop("one two", {"two", "three"}), 4u);
  EXPECT_EQ(find_stop("one two", {"x"}), std::string::npos);
  EXPECT_EQ(find_stop("one two", {}), std::string::npos);
}

}  // namespace
}  // namespace dept
