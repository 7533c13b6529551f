// Real tokenizers on 100,000 strings, where the variable DEPT_TOKENIZERS names their folder (tests/parity/make/text_large.py).
#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

#include "dept/base/text.h"
#include "parity/text/strings.h"

namespace dept {
namespace {

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
    std::istringstream sums(of["blocks"].get<std::string>());
    uint64_t at = first;
    for (std::string sum; sums >> sum; at += block) {
      uint32_t received = 0;
      for (size_t i = 0; i < block; ++i) received += static_cast<uint32_t>(i + 1) * digest(tokenizer->encode(strings[at + i]));
      EXPECT_EQ(received, std::stoul(sum, nullptr, 16)) << name << ": strings from " << at;
    }
    EXPECT_EQ(at - first, 100'000u);
  }
}

}  // namespace
}  // namespace dept
