// The pieces below the tokenizers, and what load_tokenizer takes from the files around tokenizer.json.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "dept/base/text.h"
#include "dept/text/tokenizer.h"
#include "text/pattern.h"
#include "text/trie.h"
#include "text/unicode.h"
#include "text/vocabulary.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

TEST(Unicode, ReplacesBrokenPartsOnce) {
  const auto fixed = [](std::string_view text) { return unicode::replace_invalid(text); };
  EXPECT_EQ(fixed("a\xC3\xA9z"), "a\xC3\xA9z");
  EXPECT_EQ(fixed("\xFF\xFE"), "\uFFFD\uFFFD");
  EXPECT_EQ(fixed("\xE4\xB8z"), "\uFFFDz");                // a cut sequence is one part
  EXPECT_EQ(fixed("\xF0\x9F\x98"), "\uFFFD");              // also at the end
  EXPECT_EQ(fixed("\xC0\x80"), "\uFFFD\uFFFD");            // overlong: no part of a sequence
  EXPECT_EQ(fixed("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");  // a surrogate neither
  EXPECT_EQ(fixed("\xF4\x90\x80\x80"), "\uFFFD\uFFFD\uFFFD\uFFFD");
}

TEST(Unicode, CutsGraphemeClusters) {
  const auto clusters = [](std::string_view text) {
    std::vector<size_t> ends;
    for (size_t at = 0; at < text.size();) ends.push_back(at = unicode::cluster_end(text, at));
    return ends;
  };
  using Ends = std::vector<size_t>;
  EXPECT_EQ(clusters("ab"), (Ends{1, 2}));
  EXPECT_EQ(clusters("e\u0301x"), (Ends{3, 4}));
  EXPECT_EQ(clusters("\r\n\r\n\n"), (Ends{2, 4, 5}));
  EXPECT_EQ(clusters("\n\u0301"), (Ends{1, 3}));
  EXPECT_EQ(clusters("\U0001F468\u200D\U0001F469a"), (Ends{11, 12}));
  EXPECT_EQ(clusters("a\u200D\U0001F469"), (Ends{4, 8}));
  EXPECT_EQ(clusters("\U0001F1FA\U0001F1F8\U0001F1E6"), (Ends{8, 12}));
  EXPECT_EQ(clusters("\u1100\u1161\u11A8\u1100"), (Ends{9, 12}));
  EXPECT_EQ(clusters("\u0915\u094D\u0937"), (Ends{9}));
  EXPECT_EQ(clusters("\u0600a"), (Ends{3}));
}

TEST(Trie, FindsWhatAMapFinds) {
  const std::vector<std::string> words{"a",       "ab", "abc", "b", "\xC3\xA9", "\xC3", "zzzzzz", "az", std::string("a\0b", 3),
                                       "\xFF\xFF"};
  std::vector<std::pair<std::string_view, int32_t>> keys;
  for (size_t i = 0; i < words.size(); ++i) keys.emplace_back(words[i], static_cast<int32_t>(i));
  const Trie trie(keys);
  for (size_t i = 0; i < words.size(); ++i)
    EXPECT_EQ(trie.longest_prefix(words[i] + "!"), (std::pair<size_t, int32_t>(words[i].size(), static_cast<int32_t>(i))));
  EXPECT_EQ(trie.longest_prefix("").first, 0u);
  EXPECT_EQ(trie.longest_prefix(std::string_view("\0", 1)).first, 0u);
  EXPECT_EQ(trie.longest_prefix("zzzzz").first, 0u);
  EXPECT_EQ(Trie().longest_prefix("a").first, 0u);
}

TEST(Vocabulary, KeepsIdsAndTokensApart) {
  Vocabulary vocabulary;
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(vocabulary.add(str("t", i), 2 * i), Vocabulary::Added::yes);
  EXPECT_EQ(vocabulary.add("t5", 1), Vocabulary::Added::token_known);
  EXPECT_EQ(vocabulary.add("new", 10), Vocabulary::Added::id_taken);
  EXPECT_EQ(vocabulary.add("new", Vocabulary::max_id + 1), Vocabulary::Added::bad_id);
  EXPECT_EQ(vocabulary.find("t999"), 1998);
  EXPECT_EQ(vocabulary.find("new"), Vocabulary::absent);
  EXPECT_EQ(vocabulary.token(10), "t5");
  EXPECT_FALSE(vocabulary.contains(1));
  EXPECT_EQ(vocabulary.size(), 1000u);
}

// The scanner for GPT-2's pattern and PCRE2 on the same pattern see the same words.
TEST(Pattern, Gpt2ScannerIsItsPattern) {
  const Regex regex(gpt2_pattern, "gpt2");
  for (const std::string text :
       {"it's we'll 'sx ''s don't!", "  two  blanks \n\n a\t b ", "x1y22 \u0661\u00BD z", " ' s", "a \u3000\u3000b",
        "\u00E9t\u00E9 \u4E2D\u6587!?", "   ", " \n", "\xE1\x9A\x80x", "'", "'l", "a'"}) {
    std::vector<Match> matches;
    regex.find_all(text, matches);
    std::vector<size_t> expected, received;
    for (const Match& match : matches) expected.push_back(match.end);
    for (size_t at = 0; at < text.size();) received.push_back(at = gpt2_match_end(text, at));
    EXPECT_EQ(received, expected) << quote(text);
  }
}

TEST(Loading, SpecialIdsComeFromTheFilesAround) {
  const Scratch scratch;
  scratch.write("tokenizer.json", R"({"model":{"type":"BPE","unk_token":"u","vocab":{"a":0,"u":1,"e":2,"p":3},"merges":[]}})");
  EXPECT_EQ(load_tokenizer(scratch.path())->unk_id, 1);
  EXPECT_EQ(load_tokenizer(scratch.path())->eos_id, std::nullopt);
  scratch.write("special_tokens_map.json", R"({"eos_token":{"content":"a","lstrip":false},"pad_token":"p","bos_token":null})");
  scratch.write("tokenizer_config.json", R"({"eos_token":"e","unk_token":"gone"})");
  const auto tokenizer = load_tokenizer(scratch.path());
  EXPECT_EQ(tokenizer->eos_id, 0);  // special_tokens_map.json's word holds, as in transformers
  EXPECT_EQ(tokenizer->pad_id, 3);
  EXPECT_EQ(tokenizer->bos_id, std::nullopt);
  EXPECT_EQ(tokenizer->unk_id, 4);  // a special token that the vocabulary does not have is added
  EXPECT_EQ(tokenizer->files().size(), 3u);
  EXPECT_EQ(tokenizer->vocab_size(), 5);
  fs::remove(scratch / "special_tokens_map.json");
  scratch.write("tokenizer_config.json", R"({"eos_token":5})");
  EXPECT_THAT(error_of(Code::bad_input, [&] { load_tokenizer(scratch.path()); }), testing::HasSubstr("eos_token"));
}

// A GGUF file of metadata only.
class Gguf {
 public:
  Gguf() {
    put_string("general.architecture", "llama");
    put_string("tokenizer.ggml.model", "gpt2");
  }
  void put_string(std::string_view key, std::string_view value) { entry(key, 8) += text(value); }
  void put_id(std::string_view key, uint32_t value) { entry(key, 4) += raw(value); }
  void put_strings(std::string_view key, const std::vector<std::string>& values) {
    std::string& out = entry(key, 9) += raw(uint32_t{8}) + raw(uint64_t{values.size()});
    for (const std::string& value : values) out += text(value);
  }
  void put_types(std::string_view key, const std::vector<int32_t>& values) {
    std::string& out = entry(key, 9) += raw(uint32_t{5}) + raw(uint64_t{values.size()});
    for (const int32_t value : values) out += raw(value);
  }
  std::string bytes() const {
    std::string out = "GGUF" + raw(uint32_t{3}) + raw(uint64_t{0}) + raw(uint64_t{entries_.size()});
    for (const auto& [key, value] : entries_) out += text(key) + value;
    out.resize((out.size() + 31) / 32 * 32, '\0');
    return out;
  }

 private:
  template <class T>
  static std::string raw(T value) {
    return std::string(reinterpret_cast<const char*>(&value), sizeof value);
  }
  static std::string text(std::string_view value) { return raw(uint64_t{value.size()}) + std::string(value); }
  std::string& entry(std::string_view key, uint32_t type) { return entries_[std::string(key)] = raw(type); }
  std::map<std::string, std::string> entries_;
};

Gguf small_gguf() {
  Gguf file;
  file.put_string("tokenizer.ggml.pre", "smollm");
  file.put_strings("tokenizer.ggml.tokens", {"<end>", "a", "b", "ab", "1", "\u0120", "11"});
  file.put_types("tokenizer.ggml.token_type", {3, 1, 1, 1, 1, 1, 1});
  file.put_strings("tokenizer.ggml.merges", {"a b", "1 1"});
  file.put_id("tokenizer.ggml.eos_token_id", 0);
  return file;
}

TEST(Loading, GgufMetadata) {
  const Scratch scratch;
  const auto load = [&](const Gguf& file) { return load_tokenizer(scratch.write("t.gguf", file.bytes())); };
  const auto tokenizer = load(small_gguf());
  EXPECT_EQ(tokenizer->encode("ab 11<end>"), (Ids{3, 5, 4, 4, 0}));  // each digit by itself
  EXPECT_EQ(tokenizer->decode(Ids{3, 5, 4, 0}), "ab 1");
  EXPECT_EQ(tokenizer->eos_id, 0);
  EXPECT_EQ(tokenizer->bos_id, std::nullopt);
  for (const auto& [name, bytes] : tokenizer->files()) scratch.write(name, bytes);
  const auto again = load_tokenizer(scratch / "tokenizer.json");
  EXPECT_EQ(again->encode("ab 11<end>"), (Ids{3, 5, 4, 4, 0}));
  EXPECT_EQ(again->eos_id, 0);

  const auto refused = [&](const auto& change) {
    Gguf file = small_gguf();
    change(file);
    return error_of(Code::bad_input, [&] { load(file); });
  };
  using testing::HasSubstr;
  EXPECT_THAT(refused([](Gguf& f) { f.put_string("tokenizer.ggml.model", "bert"); }),
              HasSubstr("expected gpt2 or llama, received \"bert\""));
  EXPECT_THAT(refused([](Gguf& f) { f.put_string("tokenizer.ggml.model", "llama"); }), HasSubstr("tokenizer.ggml.scores"));
  EXPECT_THAT(refused([](Gguf& f) { f.put_string("tokenizer.ggml.pre", "odd"); }),
              HasSubstr("gpt-2, smollm, llama-bpe, qwen2, dbrx, olmo or mpt, received \"odd\""));
  EXPECT_THAT(refused([](Gguf& f) { f.put_types("tokenizer.ggml.token_type", {1}); }), HasSubstr("7 types, received 1"));
  EXPECT_THAT(refused([](Gguf& f) { f.put_id("tokenizer.ggml.eos_token_id", 7); }), HasSubstr("an id below 7, received 7"));
  EXPECT_THAT(refused([](Gguf& f) { f.put_strings("tokenizer.ggml.merges", {"a c"}); }), HasSubstr("received \"c\""));
  EXPECT_THAT(refused([](Gguf& f) {
                f.put_strings("tokenizer.ggml.tokens", {"a", "a", "b", "ab", "1", "2", "11"});
              }),
              HasSubstr("each token once"));
}

TEST(Loading, VocabularyFilesThatCannotServe) {
  const Scratch scratch;
  const auto refused = [&] { return error_of(Code::bad_input, [&] { load_tokenizer(scratch.path()); }); };
  using testing::HasSubstr;
  const std::string piece = std::string("\x0A\x05\x0A\x03") + "abc";  // a field 1 with a field 1
  scratch.write("spiece.model", "");
  EXPECT_THAT(refused(), HasSubstr("pieces, received none"));
  scratch.write("spiece.model", "\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F");
  EXPECT_THAT(refused(), HasSubstr("a field of 9223372036854775807 bytes where 0 are left"));
  scratch.write("spiece.model", "\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF");
  EXPECT_THAT(refused(), HasSubstr("a number without end"));
  scratch.write("spiece.model", "\x0B");
  EXPECT_THAT(refused(), HasSubstr("wire type 3"));
  scratch.write("spiece.model", std::string("\x0A\x03\x0A\x01") + '\xFF');
  EXPECT_THAT(refused(), HasSubstr("pieces[0]] expected valid UTF-8"));
  scratch.write("spiece.model", piece + "\x0A\x0A\x0A\x03xyz\x15" + std::string("\0\0\x80\x7F", 4));
  EXPECT_THAT(refused(), HasSubstr("a finite score"));
  scratch.write("spiece.model", piece + piece);
  EXPECT_THAT(refused(), HasSubstr("\"abc\" twice"));
  scratch.write("spiece.model", piece);
  scratch.write("tokenizer_config.json", R"({"tokenizer_class":"MarianTokenizer"})");
  EXPECT_THAT(refused(), HasSubstr("received \"MarianTokenizer\""));
  scratch.write("tokenizer_config.json", R"({"tokenizer_class":"BertTokenizer"})");
  EXPECT_THAT(error_of(Code::io, [&] { load_tokenizer(scratch.path()); }), HasSubstr("vocab.txt"));
  scratch.write("vocab.txt", "[UNK]\n\xFF\n");
  EXPECT_THAT(refused(), HasSubstr("a broken byte at offset 6"));
  scratch.write("added_tokens.json", "[]");
  EXPECT_THAT(refused(), HasSubstr("added_tokens.json"));
}

}  // namespace
}  // namespace dept
