// Every character of Unicode through each normaliser that knows of Unicode (tests/parity/make/text.py).
#include <gtest/gtest.h>

#include <sstream>

#include "dept/base/text.h"
#include "parity/text/strings.h"
#include "text/normalizer.h"

namespace dept {
namespace {

TEST(Normalizers, EveryCharacter) {
  const Json cases = read_json(text_data() / "normalizers.json");
  ASSERT_EQ(cases.size(), 10u);
  for (const Json& of : cases) {
    const auto normalizer = make_normalizer(of["normalizer"], "normalizer");
    std::istringstream sums(of["blocks"].get<std::string>());
    char32_t start = 0;
    for (std::string sum; sums >> sum; start += 0x1000) {
      std::string text, made;
      for (char32_t point = start; point < start + 0x1000; ++point) {
        if (point >= 0xD800 && point < 0xE000) continue;
        const std::string c = unicode::encode(point);
        text += (text.empty() ? "a" : "\na") + c + "\u0301\u0334B" + c;
      }
      const std::string& received = normalizer->apply(text, made) ? made : text;
      EXPECT_EQ(sha256_hex(std::as_bytes(std::span(received))).substr(0, 8), sum)
          << of["normalizer"] << " from " << static_cast<uint32_t>(start);
    }
    EXPECT_EQ(static_cast<uint32_t>(start), 0x110000u);
  }
}

}  // namespace
}  // namespace dept
