// Small tokenizers of each family against what the Python library made of the same strings (tests/parity/make/text.py).
#include <gtest/gtest.h>

#include <fstream>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "parity/text/strings.h"

namespace dept {
namespace {

class Family : public testing::TestWithParam<const char*> {
 protected:
  std::vector<std::string> lines(const char* extension) const {
    std::ifstream file(text_data() / (std::string(GetParam()) + extension));
    std::vector<std::string> out;
    for (std::string line; std::getline(file, line);) out.push_back(line);
    return out;
  }
  static const Strings& strings() {
    static const Strings strings;
    return strings;
  }
  std::shared_ptr<const Tokenizer> tokenizer_ = load_tokenizer(text_data() / GetParam());
};

Truncation truncation_of(const std::string& name) {
  return name == "longest_first" ? Truncation::longest_first
         : name == "only_first"  ? Truncation::only_first
                                 : Truncation::only_second;
}

// Python's result, or null where it refuses the length.
Json ids_or_null(const std::function<Ids()>& encode) {
  try {
    return encode();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::usage) << error.what();
    return nullptr;
  }
}

TEST_P(Family, AgreesInEveryRespect) {
  const auto cases = lines(".jsonl");
  ASSERT_EQ(cases.size(), 60u);
  for (size_t i = 0; i < cases.size(); ++i) {
    const Json expected = parse_json(cases[i], str(GetParam(), ": line ", i + 1));
    const std::string text = strings()[i], pair = strings()[i + 1];
    SCOPED_TRACE(str(GetParam(), " ", i, ": ", quote(text, 500)));
    const Ids ids = tokenizer_->encode(text), plain = tokenizer_->encode(text, {.add_special_tokens = false});
    EXPECT_EQ(Json(ids), expected["ids"]);
    EXPECT_EQ(Json(plain), expected["plain"].is_array() ? expected["plain"] : expected["ids"]);
    EXPECT_EQ(tokenizer_->decode(ids), expected["text"]);
    EXPECT_EQ(tokenizer_->decode(plain, false), expected["all"]);
    Ids beyond = ids;
    beyond.push_back(1 << 30);
    EXPECT_EQ(tokenizer_->decode_written(beyond), expected["text"]);
    const auto length = expected["length"].get<int64_t>();
    EXPECT_EQ(ids_or_null([&] { return tokenizer_->encode(text, {.max_length = length}); }), expected["cut"]);
    const EncodeOptions both{.max_length = length, .truncation = truncation_of(expected["how"])};
    EXPECT_EQ(ids_or_null([&] { return tokenizer_->encode_pair(text, pair, both); }), expected["pair"]);
  }
}

TEST_P(Family, AgreesOnManyStrings) {
  const auto digests = lines(".hash");
  ASSERT_EQ(digests.size(), 1940u);
  std::vector<std::string> texts;
  for (size_t i = 0; i < digests.size(); ++i) texts.push_back(strings()[60 + i]);
  const auto ids = tokenizer_->encode_batch(texts, {}, 2);
  for (size_t i = 0; i < digests.size(); ++i)
    EXPECT_EQ(digest(ids[i]), std::stoul(digests[i], nullptr, 16)) << GetParam() << " " << 60 + i << ": " << quote(texts[i], 500);
}

TEST_P(Family, FilesRebuildIt) {
  const auto files = tokenizer_->files();
  ASSERT_EQ(files.size(), 1u);
  EXPECT_EQ(files[0].first, "tokenizer.json");
  EXPECT_EQ(files[0].second, read_file(text_data() / GetParam() / "tokenizer.json"));
}

INSTANTIATE_TEST_SUITE_P(Text, Family,
                         testing::Values("gpt2", "smollm", "roberta", "llama3", "t5", "llama2", "wordpiece", "bert", "albert",
                                         "mixed"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace dept
