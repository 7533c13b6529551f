#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/train/encode.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

constexpr int64_t bos = 1, end = 2;

// One id a byte behind an optional <s>; "ab" in a row is one token, so that source and suffix can merge.
class Bytes : public Tokenizer {
 public:
  explicit Bytes(bool starts_with_bos) {
    if (starts_with_bos) bos_id = bos;
  }
  Ids encode(std::string_view text, const EncodeOptions& options = {}) const override {
    Ids ids;
    if (bos_id && options.add_special_tokens) ids.push_back(*bos_id);
    for (size_t i = 0; i < text.size(); ++i) {
      const bool pair = text.substr(i, 2) == "ab";
      ids.push_back(pair ? 300 : static_cast<uint8_t>(text[i]));
      i += pair;
    }
    if (options.max_length > 0 && static_cast<int64_t>(ids.size()) > options.max_length) ids.resize(options.max_length);
    return ids;
  }
  Ids encode_pair(std::string_view text, std::string_view, const EncodeOptions& options = {}) const override {
    return encode(text, options);
  }
  std::string decode(std::span<const int64_t>, bool) const override { return ""; }
  int64_t vocab_size() const override { return 301; }
  std::optional<int64_t> token_to_id(std::string_view) const override { return std::nullopt; }
  std::string id_to_token(int64_t) const override { return ""; }
  std::vector<std::pair<std::string, std::string>> files() const override { return {}; }
};

EncodeRules causal(int64_t max_source, bool truncate_head) {
  EncodeRules rules;
  rules.max_source = max_source;
  rules.causal_suffix = "->";
  rules.truncate_head = truncate_head;
  rules.end_id = end;
  return rules;
}

Ids source_of(const Bytes& tokenizer, const EncodeRules& rules, const std::string& text) {
  const std::vector<TextExample> texts{{4, text, "y"}};
  const std::vector<Example> examples = encode_examples(tokenizer, rules, texts, 1);
  EXPECT_EQ(examples.at(0).index, 4);
  return examples.at(0).source;
}

TEST(Encode, CausalSourceHasTheSuffixAndTargetTheEnd) {
  const std::vector<TextExample> texts{{0, "xy", "no"}};
  const Example example = encode_examples(Bytes(false), causal(9, false), texts, 1).at(0);
  EXPECT_EQ(example.source, (Ids{'x', 'y', '-', '>'}));
  EXPECT_EQ(example.target, (Ids{'n', 'o', end}));
}

TEST(Encode, ATargetStartsAsTheTokenizerHasItOrBare) {
  const std::vector<TextExample> texts{{0, "xy", "no"}};
  EncodeRules rules = causal(9, false);
  EXPECT_EQ(encode_examples(Bytes(true), rules, texts, 1).at(0).target, (Ids{bos, 'n', 'o', end}));
  rules.bare_targets = true;
  const Example example = encode_examples(Bytes(true), rules, texts, 1).at(0);
  EXPECT_EQ(example.source, (Ids{bos, 'x', 'y', '-', '>'}));
  EXPECT_EQ(example.target, (Ids{'n', 'o', end}));
}

TEST(Encode, LongSourcesLoseTextNeverTheSuffix) {
  EXPECT_EQ(source_of(Bytes(false), causal(4, false), "uvwxy"), (Ids{'u', 'v', '-', '>'}));
  EXPECT_EQ(source_of(Bytes(false), causal(4, true), "uvwxy"), (Ids{'x', 'y', '-', '>'}));
  EXPECT_THROW(source_of(Bytes(false), causal(1, false), "uvwxy"), Error);
}

TEST(Encode, TheStartTokenStaysInFront) {
  EXPECT_EQ(source_of(Bytes(true), causal(5, false), "uvwxy"), (Ids{bos, 'u', 'v', '-', '>'}));
  EXPECT_EQ(source_of(Bytes(true), causal(5, true), "uvwxy"), (Ids{bos, 'x', 'y', '-', '>'}));
  EXPECT_EQ(source_of(Bytes(true), causal(3, true), "uvwxy"), (Ids{bos, '-', '>'}));
  EXPECT_THROW(source_of(Bytes(true), causal(2, true), "uvwxy"), Error);
  EXPECT_THROW(source_of(Bytes(true), causal(2, false), "uvwxy"), Error);
}

TEST(Encode, ATokenThatJoinsTextAndSuffixCountsAsSuffix) {
  EncodeRules rules = causal(3, false);
  rules.causal_suffix = "b>";
  EXPECT_EQ(source_of(Bytes(false), rules, "uvwa"), (Ids{'u', 300, '>'}));
}

TEST(Encode, EncoderDecoderIsCutByTheTokenizer) {
  EncodeRules rules;
  rules.architecture = Architecture::encoder_decoder;
  rules.max_source = 3;
  rules.max_target = 2;
  const std::vector<TextExample> texts{{0, "uvwxy", "nope"}};
  const Example example = encode_examples(Bytes(false), rules, texts, 1).at(0);
  EXPECT_EQ(example.source, (Ids{'u', 'v', 'w'}));
  EXPECT_EQ(example.target, (Ids{'n', 'o'}));
}

TEST(Encode, WithAHeadTargetsAreValuesNotIds) {
  EncodeRules rules;
  rules.architecture = Architecture::encoder;
  rules.head = true;
  rules.max_source = 3;
  rules.label_words = {"no", "yes"};
  const auto encode = [&](const std::string& target) {
    const std::vector<TextExample> texts{{4, "uvwxy", target}};
    return encode_examples(Bytes(false), rules, texts, 1).at(0);
  };
  EXPECT_EQ(encode("yes").source, (Ids{'u', 'v', 'w'}));
  EXPECT_EQ(encode("yes").value, 1);
  EXPECT_TRUE(encode("yes").target.empty());
  EXPECT_EQ(encode("").value, 0) << "unlabelled";
  EXPECT_THROW(encode("maybe"), Error);
  rules.label_words.clear();
  EXPECT_EQ(encode("-2.5").value, -2.5);
  EXPECT_THROW(encode("2.5 stars"), Error);
  EXPECT_THROW(encode("inf"), Error);
}

// With the special tokens of T5 (one behind) and of a tokenizer with one in front; a text as long as the limit loses nothing.
TEST(Encode, CountsWhatIsCutAndCutsAsTheTokenizerDoes) {
  const auto t5 = load_tokenizer(fs::path(DEPT_TEST_DATA) / "parity/data/models/t5-v1.0");
  const Bytes bytes(true);
  EncodeRules rules;
  rules.architecture = Architecture::encoder_decoder;
  rules.max_source = 7;
  rules.max_target = 4;
  for (const Tokenizer* tokenizer : {t5.get(), static_cast<const Tokenizer*>(&bytes)}) {
    std::vector<TextExample> texts;
    Cuts expected, cuts;
    for (const char* text : {"", "a", "a b", "a b c d", "a bit more", "a text of very many words", "one, two, three, four"}) {
      texts.push_back({0, str(text, "x"), text});
      expected.sources += tokenizer->encode(texts.back().source).size() > 7;
      expected.targets += tokenizer->encode(text).size() > 4;
    }
    const std::vector<Example> examples = encode_examples(*tokenizer, rules, texts, 1, &cuts);
    EXPECT_GT(cuts.sources, 0);
    EXPECT_LT(cuts.sources, 7);
    EXPECT_EQ(cuts.sources, expected.sources);
    EXPECT_EQ(cuts.targets, expected.targets);
    for (size_t i = 0; i < texts.size(); ++i) {
      EXPECT_EQ(examples[i].source, tokenizer->encode(texts[i].source, {.max_length = 7}));
      EXPECT_EQ(examples[i].target, tokenizer->encode(texts[i].target, {.max_length = 4}));
    }
  }
}

// One token of two numbers for every image.
class Fixed : public VisualSource {
 public:
  at::Tensor read(const std::string& image) const override {
    return at::full({1, 2}, static_cast<double>(image.size()), at::kFloat);
  }
  int64_t channels() const override { return 2; }
  int64_t tokens() const override { return 1; }
};

TEST(Encode, AnImageIsReadForTheBatch) {
  EncodeRules rules = causal(9, false);
  rules.visual = std::make_shared<const VisualInput>(std::make_unique<Fixed>(), false);
  std::vector<TextExample> texts{{0, "xy", "no"}, {1, "z", "no"}};
  texts[0].image = "first.jpg";
  const auto refusal = [&] { return error_of(Code::bad_input, [&] { encode_examples(Bytes(false), rules, texts, 1); }); };
  EXPECT_EQ(refusal(), "[row 1: image] expected an image, as the adapter sees images, received none");
  texts[1].image = "b";
  const std::vector<Example> examples = encode_examples(Bytes(false), rules, texts, 1);
  EXPECT_EQ(examples[0].image, "first") << "a picture's name in a file of features";
  EXPECT_EQ(examples[0].read_tokens(), 5);
  const Batch batch = collate(rules, examples);
  EXPECT_TRUE(batch.visual.features.equal(at::tensor({5.0F, 5.0F, 1.0F, 1.0F}).view({2, 2})));

  const Scratch scratch;
  const fs::path data = scratch / "data";
  fs::create_directories(data);
  scratch.write("a.png", "");
  texts.resize(1);
  texts[0].image = "some/where/a.png";
  texts[0].origin = std::make_shared<const TextOrigin>(
      TextOrigin{std::make_shared<const RowFile>(RowFile{(data / "rows.csv").string(), ":"}), "text", "label"});
  texts[0].number = 7;
  rules.visual = std::make_shared<const VisualInput>(std::make_unique<Fixed>(), true, scratch.path().string());
  EXPECT_EQ(encode_examples(Bytes(false), rules, texts, 1)[0].image, (scratch / "a.png").string()) << "in the folder itself";
  rules.visual = std::make_shared<const VisualInput>(std::make_unique<Fixed>(), true);
  const std::string missing = error_of(Code::io, [&] { encode_examples(Bytes(false), rules, texts, 1); });
  EXPECT_NE(missing.find("rows.csv:7: image"), std::string::npos) << missing;
}

// A target is drawn by its score, for each step and example by itself, and is the same when it is drawn again.
TEST(Encode, TargetsAreDrawnByTheirScores) {
  std::vector<TextExample> texts{{0, "xy", "a"}};
  texts[0].scored = {{"a", 0.9}, {"b", 0.3}};
  const std::vector<Example> encoded = encode_examples(Bytes(false), causal(9, false), texts, 1);
  EXPECT_EQ(encoded[0].target, (Ids{'a', end}));
  ASSERT_EQ(encoded[0].targets.size(), 2u);
  std::vector<Example> many(4000, encoded[0]), drawn, again;
  for (size_t i = 0; i < many.size(); ++i) many[i].index = static_cast<int64_t>(i);
  int64_t seconds = 0, others = 0;
  for (const Example& example : draw_targets(many, 42, 3, drawn)) {
    const bool second = example.target == Ids{'b', end};
    seconds += second;
    EXPECT_EQ(example.score, second ? 0.3 : 0.9);
  }
  EXPECT_NEAR(static_cast<double>(seconds) / 4000, 0.25, 0.03);
  draw_targets(many, 42, 3, again);
  for (size_t i = 0; i < many.size(); ++i) EXPECT_EQ(again[i].target, drawn[i].target);
  draw_targets(many, 42, 4, again);
  for (size_t i = 0; i < many.size(); ++i) others += again[i].target != drawn[i].target;
  EXPECT_GT(others, 1000);
  const std::vector<Example> plain(2);
  EXPECT_EQ(draw_targets(plain, 42, 3, drawn).data(), plain.data()) << "nothing to draw from";
}

TEST(Encode, RowsAreNamedByTheirOrigin) {
  TextExample text{4, "", "y"};
  text.origin =
      std::make_shared<const TextOrigin>(TextOrigin{std::make_shared<const RowFile>(RowFile{"f.json", ": row "}), "a, b", "c"});
  text.number = 9;
  EncodeRules rules = causal(9, false);
  rules.causal_suffix = "";
  const auto refusal = [&](const TextExample& example) {
    const std::vector<TextExample> texts{example};
    try {
      encode_examples(Bytes(false), rules, texts, 1);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(refusal(text), "[f.json: row 9: a, b] expected a text of at least one token, received \"\"");
  text.source = "abab";
  EXPECT_EQ(refusal(text), "");
  rules.vocab = 300;
  EXPECT_EQ(
      refusal(text),
      "[f.json: row 9: a, b] expected tokens of the model's embedding (vocab_size 300), received the token \"\" with id 300");
  text.source = "x";
  text.target = "ab";
  EXPECT_EQ(refusal(text).substr(0, 19), "[f.json: row 9: c] ");
  text.origin.reset();
  EXPECT_EQ(refusal(text).substr(0, 8), "[row 4] ");
}

}  // namespace
}  // namespace dept
