// A tokenizer.json from anywhere: what is wrong with it is said in one line, and nothing worse happens.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dept/base/text.h"
#include "dept/text/tokenizer.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

using testing::HasSubstr;

class Hostile : public testing::Test {
 protected:
  std::shared_ptr<const Tokenizer> load(const std::string& text) { return load_tokenizer(scratch_.write("t.json", text)); }
  std::string refused(const std::string& text) {
    return error_of(Code::bad_input, [&] { load(text); });
  }
  static std::string bpe(const std::string& vocab, const std::string& merges, const std::string& rest = "") {
    return R"({"model":{"type":"BPE","vocab":)" + vocab + R"(,"merges":)" + merges + "}" + rest + "}";
  }
  static std::string with(const std::string& rest) { return bpe(R"({"a":0,"b":1,"ab":2})", R"(["a b"])", "," + rest); }
  Scratch scratch_;
};

TEST_F(Hostile, NotATokenizer) {
  EXPECT_THAT(refused(""), HasSubstr("valid JSON"));
  EXPECT_THAT(refused("[]"), HasSubstr("expected an object"));
  EXPECT_THAT(refused("{}"), HasSubstr("a field \"model\""));
  EXPECT_THAT(refused(R"({"model":3})"), HasSubstr("number 3"));
  EXPECT_THAT(refused(R"({"model":{"type":"Neural"}})"), HasSubstr("BPE, Unigram or WordPiece, received \"Neural\""));
  EXPECT_THAT(refused(R"({"model":{"type":"BPE"}})"), HasSubstr("vocab"));
  EXPECT_THAT(error_of(Code::io, [&] { load_tokenizer(scratch_.path()); }),
              HasSubstr("a tokenizer.json in the folder, or vocabulary files"));
}

TEST_F(Hostile, Vocabularies) {
  EXPECT_THAT(refused(bpe("[]", "[]")), HasSubstr("an object of tokens and ids"));
  EXPECT_THAT(refused(bpe(R"({"a":-1})", "[]")), HasSubstr("\"a\"] expected an id from 0"));
  EXPECT_THAT(refused(bpe(R"({"a":1.5})", "[]")), HasSubstr("number 1.5"));
  EXPECT_THAT(refused(bpe(R"({"a":18446744073709551615})", "[]")), HasSubstr("18446744073709551615"));
  EXPECT_THAT(refused(bpe(R"({"a":1000000000})", "[]")), HasSubstr("1000000000"));
  EXPECT_THAT(refused(bpe(R"({"a":0,"b":0})", "[]")), HasSubstr("an id of its own"));
  EXPECT_THAT(refused(bpe(R"({"a":0,"a":1})", "[]")), HasSubstr("twice"));
}

TEST_F(Hostile, Merges) {
  const std::string vocab = R"({"a":0,"b":1,"ab":2,"":3})";
  EXPECT_THAT(refused(bpe(vocab, "{}")), HasSubstr("a list of pairs"));
  EXPECT_THAT(refused(bpe(vocab, R"(["a"])")), HasSubstr("merges[0]] expected two tokens"));
  EXPECT_THAT(refused(bpe(vocab, R"(["a b c"])")), HasSubstr("merges[0]"));
  EXPECT_THAT(refused(bpe(vocab, R"(["a b",["a"]])")), HasSubstr("merges[1]] expected a pair"));
  EXPECT_THAT(refused(bpe(vocab, R"(["b c"])")), HasSubstr("tokens of the vocabulary, received \"c\""));
  EXPECT_THAT(refused(bpe(vocab, R"(["b a"])")), HasSubstr("received \"ba\""));
  // Merges with the empty token lead in a circle, and still come to an end.
  EXPECT_EQ(load(bpe(vocab, R"([["","a"],["a",""],["a","b"]])"))->encode("aab"), (Ids{0, 2}));
}

TEST_F(Hostile, Unigrams) {
  const auto unigram = [](const std::string& vocab, const std::string& rest = "") {
    return R"({"model":{"type":"Unigram","vocab":)" + vocab + rest + "}}";
  };
  EXPECT_THAT(refused(unigram("{}")), HasSubstr("a list of pieces"));
  EXPECT_THAT(refused(unigram("[]")), HasSubstr("a list of pieces"));
  EXPECT_THAT(refused(unigram(R"([["a"]])")), HasSubstr("vocab[0]] expected [piece, score]"));
  EXPECT_THAT(refused(unigram(R"([["a",1e999]])")), HasSubstr("number overflow"));
  EXPECT_THAT(refused(unigram(R"([["a",0],["a",1]])")), HasSubstr("each piece once"));
  EXPECT_THAT(refused(unigram(R"([["a",0]])", R"(,"unk_id":1)")), HasSubstr("an id below 1, received 1"));
  EXPECT_THAT(refused(unigram(R"([["a",0]])", R"(,"unk_id":-1)")), HasSubstr("received -1"));
  const auto tokenizer = load(unigram(R"([["a",0]])"));
  EXPECT_THAT(error_of(Code::bad_input, [&] { tokenizer->encode("ab"); }), HasSubstr("no unknown token, received \"b\""));
  EXPECT_THAT(error_of(Code::bad_input, [&] { tokenizer->encode("ab"); }), HasSubstr("t.json: model]"));
}

TEST_F(Hostile, Parts) {
  EXPECT_THAT(refused(with(R"("normalizer":{"type":"X"})")), HasSubstr("normalizer: type] expected a normalizer"));
  EXPECT_THAT(refused(with(R"("normalizer":{})")), HasSubstr("normalizer: type] expected a string"));
  EXPECT_THAT(refused(with(R"("normalizer":{"type":"Sequence","normalizers":[{"type":"Nmt"},{"type":7}]})")),
              HasSubstr("[1]: type"));
  EXPECT_THAT(refused(with(R"("pre_tokenizer":{"type":"X"})")), HasSubstr("pre_tokenizer: type"));
  EXPECT_THAT(refused(with(R"("pre_tokenizer":{"type":"Metaspace","replacement":"ab"})")), HasSubstr("one character"));
  EXPECT_THAT(refused(with(R"("pre_tokenizer":{"type":"Split","pattern":{"Regex":"("},"behavior":"Isolated","invert":false})")),
              HasSubstr("a regular expression, received \"(\""));
  EXPECT_THAT(refused(with(R"("pre_tokenizer":{"type":"Split","pattern":{"Regex":"[a&&b]"},"behavior":"Isolated"})")),
              HasSubstr("intersection"));
  EXPECT_THAT(refused(with(R"("pre_tokenizer":{"type":"Split","pattern":{"Regex":"a"},"behavior":"Odd"})")),
              HasSubstr("Removed"));
  EXPECT_THAT(refused(with(R"("pre_tokenizer":{"type":"Split","pattern":"a","behavior":"Isolated"})")), HasSubstr("pattern"));
  EXPECT_THAT(refused(with(R"("decoder":{"type":"X"})")), HasSubstr("decoder: type"));
  EXPECT_THAT(refused(with(R"("post_processor":{"type":"BertProcessing","sep":["a",-1],"cls":["a",0]})")),
              HasSubstr("[token, id]"));
  const std::string open = R"("post_processor":{"type":"TemplateProcessing","single":)",
                    close = R"(,"pair":[],"special_tokens":{}})";
  EXPECT_THAT(refused(with(open + R"([{"SpecialToken":{"id":"x"}}])" + close)), HasSubstr("tokens that special_tokens lists"));
  EXPECT_THAT(refused(with(open + R"([{"Sequence":{"id":"B"}}])" + close)), HasSubstr("only the sequence A"));
  EXPECT_THAT(refused(with(open + "3" + close)), HasSubstr("a list of at most 64"));
}

TEST_F(Hostile, AddedTokens) {
  EXPECT_THAT(refused(with(R"("added_tokens":3)")), HasSubstr("expected a list"));
  EXPECT_THAT(refused(with(R"("added_tokens":[3])")), HasSubstr("added_tokens[0]: content"));
  EXPECT_THAT(refused(with(R"("added_tokens":[{"content":"x","id":7}])")), HasSubstr("the id 3 for \"x\", received 7"));
  EXPECT_THAT(refused(with(R"("added_tokens":[{"content":"x","id":"3"}])")), HasSubstr("an integer"));
}

TEST_F(Hostile, CharacterMaps) {
  const auto map = [&](const std::string& base64) {
    return refused(with(R"("normalizer":{"type":"Precompiled","precompiled_charsmap":")" + base64 + R"("})"));
  };
  EXPECT_THAT(map("abc"), HasSubstr("base64"));
  EXPECT_THAT(map("ab!="), HasSubstr("base64"));
  EXPECT_THAT(map("AAAA"), HasSubstr("a character map"));
  EXPECT_THAT(map("/////w=="), HasSubstr("one that says 4294967295"));
  EXPECT_THAT(map("BAAAAP////8="), HasSubstr("units of the character map"));  // one unit that points far away
  EXPECT_THAT(map("BAAAAAAAAAD/"), HasSubstr("UTF-8"));
}

TEST_F(Hostile, PatternsThatNeverEndGiveUp) {
  const auto tokenizer = load(with(R"("pre_tokenizer":{"type":"Split","pattern":{"Regex":"(a+)+$"},"behavior":"Isolated"})"));
  EXPECT_THAT(error_of(Code::bad_input, [&] { tokenizer->encode(std::string(200, 'a') + "b"); }), HasSubstr("limit of steps"));
}

TEST_F(Hostile, TextsThatGrowWithoutEndAreRefused) {
  std::string doubling = R"({"type":"Replace","pattern":{"String":"a"},"content":"aa"})";
  std::string steps = doubling;
  for (int i = 0; i < 60; ++i) steps += "," + doubling;
  const auto tokenizer = load(with(R"("normalizer":{"type":"Sequence","normalizers":[)" + steps + "]}"));
  EXPECT_THAT(error_of(Code::bad_input, [&] { tokenizer->encode("a"); }), HasSubstr("times as long"));
}

TEST_F(Hostile, TextsAndIds) {
  const auto tokenizer = load(with(R"("version":"1.0")"));
  EXPECT_THAT(error_of(Code::bad_input, [&] { tokenizer->encode("ab\xC3"); }), HasSubstr("a broken byte at offset 2"));
  EXPECT_THAT(error_of(Code::bad_input, [&] { tokenizer->encode_pair("a", "\xED\xA0\x80"); }), HasSubstr("offset 0"));
  for (const int64_t id : {int64_t{-1}, int64_t{3}, INT64_MAX, INT64_MIN}) {
    const Ids ids{id};
    EXPECT_THAT(error_of(Code::bad_input, [&] { tokenizer->decode(ids); }), HasSubstr(str("received ", id)));
    EXPECT_THAT(error_of(Code::bad_input, [&] { tokenizer->id_to_token(id); }), HasSubstr(str("received ", id)));
  }
  EXPECT_EQ(tokenizer->token_to_id("c"), std::nullopt);
  error_of(Code::usage, [&] { tokenizer->encode("a", {.max_length = -5}); });
  // A million letters in one word are merged in time.
  EXPECT_EQ(tokenizer->encode(std::string(1'000'000, 'b')).size(), 1'000'000u);
}

TEST_F(Hostile, BatchesThrowWhatOneTextThrows) {
  const auto tokenizer = load(with(R"("version":"1.0")"));
  std::vector<std::string> texts(500, "ab");
  EXPECT_EQ(tokenizer->encode_batch(texts, {}, 3), std::vector<Ids>(500, Ids{2}));
  texts[300] = "\xFF";
  EXPECT_THAT(error_of(Code::bad_input, [&] { tokenizer->encode_batch(texts, {}, 3); }), HasSubstr("offset 0"));
  EXPECT_TRUE(tokenizer->encode_batch({}, {}, 3).empty());
}

}  // namespace
}  // namespace dept
