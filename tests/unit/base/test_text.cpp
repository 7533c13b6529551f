#include <gtest/gtest.h>

#include "dept/base/philox.h"
#include "dept/base/rounding.h"
#include "dept/base/text.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

TEST(Text, FindsInvalidUtf8) {
  for (const char* good : {"", "abc", "\u00e9", "\u0800", "\uffff", "\U00010000", "\U0010ffff", "\ud7ff", "\ue000"})
    EXPECT_EQ(find_invalid_utf8(good), std::string_view::npos) << good;
  for (const char* bad : {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80",
                          "\xf5\x80\x80\x80", "\xe2\x82", "\xff", "\xc3(", "\xf0\x9f\x98"})
    EXPECT_EQ(find_invalid_utf8("ab" + std::string(bad) + "c"), 2u) << bad;
  EXPECT_EQ(find_invalid_utf8("ab\xe2\x82"), 2u);
}

TEST(Text, QuotesForMessages) {
  EXPECT_EQ(quote("a b"), "\"a b\"");
  EXPECT_EQ(quote("\x1b[31m\n\xff"), "\"\\x1b[31m\\x0a\\xff\"");
  EXPECT_EQ(quote("\u00e9\u00e9\u00e9", 4), "\"\u00e9\u00e9...\"");
}

TEST(Text, FindsTheNearestName) {
  EXPECT_EQ(nearest_name("lerning_rate", {"lora_alpha", "learning_rate"}), "learning_rate");
  EXPECT_EQ(nearest_name("zzzzzz", {"lora_alpha", "learning_rate"}), "");
  EXPECT_EQ(nearest_name("a", {}), "");
}

TEST(Error, ReadsAsAgreed) {
  EXPECT_EQ(error_of(Code::io, [] { fail(Code::io, "a.csv: line 3", "two cells", "one"); }),
            "[a.csv: line 3] expected two cells, received one");
  EXPECT_EQ(Error(Code::resource, "").exit_code(), 5);
}

// Known answers of Random123's kat_vectors for philox4x32-10.
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox({0, 0, 0, 0}, 0), (Philox4{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, 0xffffffffffffffff),
            (Philox4{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0x299f31d0a4093822),
            (Philox4{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

// Python's round().
TEST(Text, RoundsHalfToEven) {
  EXPECT_EQ(rounded(0.125, 2), 0.12);
  EXPECT_EQ(rounded(0.375, 2), 0.38);
  EXPECT_EQ(rounded(-0.125, 2), -0.12);
  EXPECT_EQ(rounded(2.5, 0), 2);
  EXPECT_EQ(rounded(1.005, 2), 1.0);  // below the half as a double
  EXPECT_EQ(rounded(1234.56789, 3), 1234.568);
}

TEST(Text, StripAndJoin) {
  EXPECT_EQ(strip(" \t\r\n a b\f\v"), "a b");
  EXPECT_EQ(strip(" \n"), "");
  EXPECT_EQ(join({"a", "", "b"}, ", "), "a, , b");
  EXPECT_EQ(join({}, ", "), "");
}

}  // namespace
}  // namespace dept
