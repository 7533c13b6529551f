#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dept/base/json.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string parse_error(std::string_view text) {
  return error_of(Code::bad_input, [&] { parse_json(text, "x.json"); });
}

TEST(Json, RefusesDuplicateKeysAtAnyDepth) {
  EXPECT_EQ(parse_error(R"({"a": 1, "a": 2})"), "[x.json] expected each key once, received the key \"a\" twice");
  EXPECT_THAT(parse_error(R"([{"b": {"a": 1, "c": 2, "a": 2}}])"), HasSubstr("\"a\" twice"));
  EXPECT_EQ(parse_json(R"({"a": {"a": 1}, "b": [{"a": 1}, {"a": 2}]})", "x")["a"]["a"], 1);
}

TEST(Json, RefusesDeepAndBrokenText) {
  EXPECT_THAT(parse_error(std::string(100000, '[')), HasSubstr("256 deep"));
  for (const char* text : {"", "{", "[1,]", "{} {}", "nul", "\"\xff\"", "{\"a\" 1}", "01", "\"\\ud800\""})
    EXPECT_THAT(parse_error(text), HasSubstr("[x.json] expected valid JSON, received ")) << text;
}

TEST(Json, ErrorsAreOneLine) {
  EXPECT_LT(parse_error("\"" + std::string(100000, 'a')).size(), 300u);
  EXPECT_EQ(parse_error("{\n\"a\": \n oops}").find('\n'), std::string::npos);
}

TEST(Json, RequiresFieldsOfTheirKind) {
  const Json json = parse_json(R"({"b": true, "i": -3, "d": 1.5, "s": "x", "is": [1, 2], "ds": [1, 2.5], "ss": ["a"], "n": null,
                                  "big": 18446744073709551615})",
                               "x");
  EXPECT_TRUE(require<bool>(json, "b", "x"));
  EXPECT_EQ(require<int64_t>(json, "i", "x"), -3);
  EXPECT_EQ(require<double>(json, "d", "x"), 1.5);
  EXPECT_EQ(require<double>(json, "i", "x"), -3);
  EXPECT_EQ(require<std::string>(json, "s", "x"), "x");
  EXPECT_THAT(require<std::vector<int64_t>>(json, "is", "x"), ElementsAre(1, 2));
  EXPECT_THAT(require<std::vector<double>>(json, "ds", "x"), ElementsAre(1, 2.5));
  EXPECT_THAT(require<std::vector<std::string>>(json, "ss", "x"), ElementsAre("a"));
  EXPECT_EQ(value_or<int64_t>(json, "n", 7, "x"), 7);
  EXPECT_EQ(value_or<int64_t>(json, "absent", 7, "x"), 7);
  EXPECT_EQ(value_or<int64_t>(json, "i", 7, "x"), -3);
  const auto message = [](auto call) { return error_of(Code::bad_input, call); };
  EXPECT_EQ(message([&] { require<int64_t>(json, "d", "x"); }), "[x: d] expected an integer, received \"1.5\"");
  EXPECT_EQ(message([&] { require<int64_t>(json, "absent", "x"); }), "[x: absent] expected an integer, received nothing");
  EXPECT_EQ(message([&] { require<int64_t>(Json::array(), "i", "x"); }), "[x: i] expected an integer, received nothing");
  message([&] { require<int64_t>(json, "big", "x"); });
  message([&] { require<int64_t>(json, "b", "x"); });
  message([&] { require<bool>(json, "i", "x"); });
  message([&] { require<std::string>(json, "n", "x"); });
  message([&] { require<std::vector<int64_t>>(json, "ds", "x"); });
  message([&] { value_or<std::string>(json, "i", "", "x"); });
}

TEST(Json, ReadsFiles) {
  const Scratch scratch;
  EXPECT_EQ(read_json(scratch.write("a.json", "[1]"))[0], 1);
  EXPECT_THAT(error_of(Code::bad_input, [&] { read_json(scratch.write("b.json", "[")); }), HasSubstr("b.json"));
  error_of(Code::io, [&] { read_json(scratch / "none.json"); });
  error_of(Code::bad_input, [&] { read_json(scratch.write("c.json", "[1, 2, 3]"), 4); });
}

}  // namespace
}  // namespace dept
