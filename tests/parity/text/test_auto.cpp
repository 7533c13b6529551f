// A vocabulary and the files beside it against AutoTokenizer of transformers 5.17 (tests/parity/make/text_auto.py) and of 4.28.1
// (text_original.py).
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "dept/base/text.h"
#include "parity/text/strings.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

struct Combination {
  Json json;
  OrderedJson files;  // with the keys in their order
};

void PrintTo(const Combination& combination, std::ostream* out) {
  *out << combination.json["name"];
}

std::vector<Combination> combinations(const std::string& name) {
  std::ifstream file(text_data() / name);
  std::vector<Combination> out;
  for (std::string line; std::getline(file, line);) out.push_back({parse_json(line, name), OrderedJson::parse(line)["files"]});
  return out;
}

constexpr const char* padding_tokens[] = {"HelloWorld", "\u0120HelloWorld", "aBcD", "\u0120aBcD", "!\u010a", "!\u010a/"};

// As pad() of text_auto.py.
void pad(const fs::path& folder, size_t tokens) {
  const bool whole = fs::exists(folder / "tokenizer.json");
  const fs::path path = folder / (whole ? "tokenizer.json" : "vocab.json");
  Json state = read_json(path);
  Json& vocabulary = whole ? state["model"]["vocab"] : state;
  const bool listed = vocabulary.is_array();
  std::set<std::string> pieces;
  for (const auto& entry : vocabulary.items()) pieces.insert(listed ? entry.value()[0].get<std::string>() : entry.key());
  std::vector<Json*> added;
  if (whole)
    for (Json& token : state["added_tokens"])
      if (!pieces.contains(token["content"])) added.push_back(&token);
  for (size_t i = 0; vocabulary.size() + added.size() < tokens; ++i) {
    const std::string token = i < std::size(padding_tokens) ? padding_tokens[i] : str("\u4dff", i);
    if (listed)
      vocabulary.push_back({token, -100.0});
    else
      vocabulary.emplace(token, vocabulary.size());
  }
  for (size_t i = 0; i < added.size(); ++i) (*added[i])["id"] = vocabulary.size() + i;
  write_atomic(path, state.dump());
}

void put(const Combination& given, const fs::path& folder) {
  const Json& combination = given.json;
  fs::copy(text_data() / combination["vocabulary"].get<std::string>(), folder, fs::copy_options::recursive);
  if (combination.contains("tokens")) pad(folder, combination["tokens"]);
  if (!combination["changes"].empty()) {
    Json tokenizer = read_json(folder / "tokenizer.json");
    for (const auto& [pointer, value] : combination["changes"].items()) tokenizer[Json::json_pointer(pointer)] = value;
    write_atomic(folder / "tokenizer.json", tokenizer.dump());
  }
  for (const auto& [name, content] : given.files.items())
    content.is_null() ? void(fs::remove(folder / name)) : write_atomic(folder / name, content.dump());
}

std::string decoded(const Tokenizer& tokenizer, const Ids& ids) {
  return tokenizer.decode(ids, true) + "\n" + tokenizer.decode(ids, false);
}

void expect_equal(const Tokenizer& tokenizer, const Json& expected, const Strings& strings) {
  const std::optional<int64_t> specials[] = {tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id, tokenizer.unk_id};
  // Ours knows the model's unknown token where no file names one.
  for (size_t i = 0; i < 4; ++i)
    if (i < 3 || !expected["specials"][i].is_null()) {
      EXPECT_EQ(specials[i] ? Json(*specials[i]) : Json(), expected["specials"][i]) << "special " << i;
    }
  EXPECT_EQ(tokenizer.vocab_size(), expected["size"]);
  const auto texts = require<std::vector<std::string>>(expected, "texts", "auto.jsonl");
  for (size_t i = 0; i < texts.size(); ++i) {
    const Ids ids = tokenizer.encode(texts[i]);
    EXPECT_EQ(Json(ids), expected["ids"][i]) << quote(texts[i]);
    EXPECT_EQ(tokenizer.decode(ids, true), expected["text"][i]) << quote(texts[i]);
    EXPECT_EQ(tokenizer.decode(ids, false), expected["all"][i]) << quote(texts[i]);
  }
  EXPECT_EQ(Json(tokenizer.encode_pair(texts[0], texts[1])), expected["pair"]);
  EXPECT_EQ(Json(tokenizer.encode(texts[0], {.max_length = 7})), expected["cut"]);
  EXPECT_EQ(Json(tokenizer.encode_pair(texts[0], texts[1], {.max_length = 11})), expected["cut_pair"]);
  const auto special_ids = require<std::vector<int64_t>>(expected, "special_ids", "auto.jsonl");
  EXPECT_EQ(tokenizer.decode(special_ids, true), expected["special_text"]);
  EXPECT_EQ(tokenizer.decode(special_ids, false), expected["special_all"]);
  for (size_t i = 0; i < expected["digests"].size(); ++i) {
    if (expected["digests"][i] == "") continue;
    const std::string text = strings[expected["first"].get<uint64_t>() + i];
    const Ids ids = tokenizer.encode(text);
    EXPECT_EQ(digest(ids), std::stoul(expected["digests"][i].get<std::string>(), nullptr, 16)) << quote(text, 500);
    EXPECT_EQ(digest(decoded(tokenizer, ids)), std::stoul(expected["decoded"][i].get<std::string>(), nullptr, 16))
        << quote(text, 500);
  }
}

void expect_equal_and_saved(const Combination& combination, TokenizerRules rules) {
  const Scratch scratch;
  const Strings strings;
  const fs::path folder = scratch / "model", saved = scratch / "saved";
  fs::create_directories(folder);
  put(combination, folder);
  const auto tokenizer = load_tokenizer(folder, rules);
  expect_equal(*tokenizer, combination.json, strings);
  // What is saved beside an adapter is the same tokenizer, without the model's config.json.
  fs::create_directories(saved);
  for (const auto& [name, bytes] : tokenizer->files()) write_atomic(saved / name, bytes);
  SCOPED_TRACE("as saved");
  expect_equal(*load_tokenizer(saved, rules), combination.json, strings);
}

class Auto : public testing::TestWithParam<Combination> {};
class Original : public testing::TestWithParam<Combination> {};

TEST_P(Auto, AgreesWithTransformers) {
  expect_equal_and_saved(GetParam(), TokenizerRules::transformers_5);
}

TEST_P(Original, AgreesWithItsTransformers) {
  expect_equal_and_saved(GetParam(), TokenizerRules::transformers_4);
}

std::string name_of(const testing::TestParamInfo<Combination>& info) {
  return info.param.json["name"].get<std::string>();
}

INSTANTIATE_TEST_SUITE_P(Text, Auto, testing::ValuesIn(combinations("auto.jsonl")), name_of);
INSTANTIATE_TEST_SUITE_P(Text, Original, testing::ValuesIn(combinations("original.jsonl")), name_of);

}  // namespace
}  // namespace dept
