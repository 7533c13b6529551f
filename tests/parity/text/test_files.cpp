// Tokenizers without a tokenizer.json against transformers, sentencepiece and tokenizers (tests/parity/make/text_files.py), and
// the tokenizer.json that is written of them against that of the libraries (text_written.py).
#include <gtest/gtest.h>

#include "dept/base/text.h"
#include "parity/text/strings.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

// A vocabulary or merges by the digest of its lines.
Json digest_of(std::vector<std::string> lines) {
  char out[9];
  std::snprintf(out, sizeof out, "%08x", digest(join(lines, "\n")));
  return out;
}

void digest_model(Json& model) {
  std::vector<std::string> tokens(model["vocab"].size()), merges;
  for (const auto& [key, value] : model["vocab"].items())
    value.is_array() ? void(tokens[std::stoul(key)] = value[0]) : void(tokens[value.get<size_t>()] = key);
  model["vocab"] = digest_of(tokens);
  if (!model.contains("merges")) return;
  for (const Json& merge : model["merges"])
    merges.push_back(merge.is_string() ? merge.get<std::string>()
                                       : str(merge[0].get<std::string>(), " ", merge[1].get<std::string>()));
  model["merges"] = digest_of(merges);
}

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

TEST_P(Files, AreWrittenAsTheLibrariesWriteThem) {
  const auto files = load_tokenizer(text_data() / "files" / GetParam())->files();
  ASSERT_EQ(files.size(), 2u);
  Json written = parse_json(files[0].second, files[0].first);
  digest_model(written["model"]);
  const Json expected = read_json(text_data() / "files" / "written.json")[GetParam()];
  EXPECT_EQ(written, expected) << Json::diff(expected, written).dump(1);
  EXPECT_EQ(parse_json(files[1].second, files[1].first)["tokenizer_class"], "PreTrainedTokenizerFast");
}

INSTANTIATE_TEST_SUITE_P(Text, Files,
                         testing::Values("t5", "albert", "llama", "gpt2", "roberta", "bert", "llama-spm.gguf", "llama-bpe.gguf",
                                         "qwen2.gguf", "deberta", "dbrx.gguf", "olmo.gguf"),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name)
                             if (c == '-' || c == '.') c = '_';
                           return name;
                         });

}  // namespace
}  // namespace dept
