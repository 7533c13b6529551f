// Tokenizers without a tokenizer.json against transformers, sentencepiece and tokenizers (tests/parity/make/text_files.py).
#include <gtest/gtest.h>

#include "dept/base/text.h"
#include "parity/text/strings.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

class Files : public testing::TestWithParam<const char*> {};

TEST_P(Files, AgreesWithTheFamilysLibrary) {
  const fs::path path = text_data() / "files" / GetParam();
  const Json expected = read_json(path.parent_path() / (path.stem().string() + ".json"));
  const auto tokenizer = load_tokenizer(path);
  const std::optional<int64_t> specials[] = {tokenizer->bos_id, tokenizer->eos_id, tokenizer->pad_id, tokenizer->unk_id};
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(specials[i] ? Json(*specials[i]) : Json(), expected["specials"][i]) << i;
  const Strings strings;
  const auto first = expected["first"].get<uint64_t>();
  ASSERT_EQ(expected["digests"].size(), 400u);
  for (size_t i = 0; i < 400; ++i) {
    const auto sum = expected["digests"][i].get<std::string>();
    if (sum.empty()) continue;
    const std::string text = strings[first + i];
    const Ids ids = tokenizer->encode(text);
    EXPECT_EQ(digest(ids), std::stoul(sum, nullptr, 16)) << GetParam() << " " << i << ": " << quote(text, 500);
    if (i < expected["decoded"].size()) {
      EXPECT_EQ(tokenizer->decode(ids), expected["decoded"][i]);
    }
  }
  // What is saved beside an adapter is the same tokenizer.
  const Scratch scratch;
  for (const auto& [name, bytes] : tokenizer->files()) scratch.write(name, bytes);
  const auto again = load_tokenizer(scratch.path());
  EXPECT_EQ(again->eos_id, tokenizer->eos_id);
  for (uint64_t i = 0; i < 20; ++i) EXPECT_EQ(again->encode(strings[i]), tokenizer->encode(strings[i]));
}

INSTANTIATE_TEST_SUITE_P(Text, Files,
                         testing::Values("t5", "albert", "llama", "gpt2", "roberta", "bert", "llama-spm.gguf", "llama-bpe.gguf"),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name)
                             if (c == '-' || c == '.') c = '_';
                           return name;
                         });

}  // namespace
}  // namespace dept
