// Real tokenizers on 100,000 strings, where the variable DEPT_TOKENIZERS names their folder (tests/parity/make/text_large.py).
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <map>
#include <sstream>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "parity/text/strings.h"

namespace dept {
namespace {

using Sums = std::map<std::string, uint32_t>;

// The library refuses a length that the text to be cut is too short for.
template <class Encode>
uint32_t digest_or_0(const Encode& encode) {
  try {
    return digest(encode());
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::usage) << error.what();
    return 0;
  }
}

/// What is made of a block of strings, in the words of text_large.py; `texts` has one more.
Sums sums_of(const Tokenizer& tokenizer, const std::vector<std::string>& texts, size_t block) {
  const std::span<const std::string> own(texts.data(), texts.size() - 1);
  const std::vector<Ids> ids = tokenizer.encode_batch(own, {}, 2);
  const std::vector<Ids> plain = tokenizer.encode_batch(own, {.add_special_tokens = false}, 2);
  const auto length = static_cast<int64_t>(3 + block % 60);
  const Truncation how = std::array{Truncation::longest_first, Truncation::only_first, Truncation::only_second}[block % 3];
  Sums sums;
  for (size_t i = 0; i < own.size(); ++i) {
    const auto add = [&](const char* kind, uint32_t one) { sums[kind] += static_cast<uint32_t>(i + 1) * one; };
    add("ids", digest(ids[i]));
    add("plain", digest(plain[i]));
    add("text", digest(tokenizer.decode(ids[i])));
    add("all", digest(tokenizer.decode(plain[i], false)));
    add("cut", digest_or_0([&] { return tokenizer.encode(texts[i], {.max_length = length}); }));
    add("pair",
        digest_or_0([&] { return tokenizer.encode_pair(texts[i], texts[i + 1], {.max_length = length, .truncation = how}); }));
  }
  return sums;
}

TEST(Large, RealTokenizersAgree) {
  const char* folder = std::getenv("DEPT_TOKENIZERS");
  if (folder == nullptr) GTEST_SKIP() << "DEPT_TOKENIZERS is not set";
  const Json expected = read_json(text_data() / "large.json");
  const auto first = expected["first"].get<uint64_t>();
  const auto block = expected["block"].get<size_t>();
  const Strings strings;
  for (const auto& [name, of] : expected["tokenizers"].items()) {
    const fs::path path = fs::path(folder) / name / "tokenizer.json";
    if (!fs::exists(path)) continue;
    const std::string bytes = read_file(path);
    ASSERT_EQ(sha256_hex(std::as_bytes(std::span(bytes))), of["sha256"]) << path << " is another file";
    const auto tokenizer = load_tokenizer(path);
    std::map<std::string, std::istringstream> columns;
    for (const char* kind : {"ids", "plain", "text", "all", "cut", "pair"})
      columns[kind] = std::istringstream(of[kind].get<std::string>());
    for (size_t b = 0; b < 100'000 / block; ++b) {
      const uint64_t from = first + b * block;
      std::vector<std::string> texts;
      for (uint64_t i = from; i <= from + block; ++i) texts.push_back(strings[i]);
      for (const auto& [kind, received] : sums_of(*tokenizer, texts, b)) {
        std::string sum;
        ASSERT_TRUE(columns[kind] >> sum) << name << ": " << kind;
        EXPECT_EQ(received, std::stoul(sum, nullptr, 16)) << name << ": " << kind << " of strings from " << from;
      }
    }
  }
}

}  // namespace
}  // namespace dept
