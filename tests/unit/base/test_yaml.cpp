#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dept/base/yaml.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

using ::testing::HasSubstr;

TEST(Yaml, ScalarsStayText) {
  const OrderedJson read = parse_yaml("b: [0, \"1\", yes]\na: {x: 1.50, y: }\n", "f.yaml");
  EXPECT_EQ(read.dump(), R"({"b":["0","1","yes"],"a":{"x":"1.50","y":null}})");
  EXPECT_TRUE(parse_yaml("", "f").is_null());
}

TEST(Yaml, RefusesInOneLine) {
  const auto refusal = [](const std::string& text) { return error_of(Code::bad_input, [&] { parse_yaml(text, "f.yaml"); }); };
  EXPECT_THAT(refusal("a: 1\na: 2\n"), HasSubstr("\"a\" twice"));
  EXPECT_THAT(refusal("a: [1\nb: 2\n"), HasSubstr("valid YAML"));
  EXPECT_THAT(refusal("a: 1\n---\nb: 2\n"), HasSubstr("one YAML document"));
  EXPECT_THAT(refusal("a: \xff\n"), HasSubstr("UTF-8"));
  EXPECT_THAT(refusal("{[1]: 2}\n"), HasSubstr("a name as each key, received a list or a mapping"));
  EXPECT_THAT(refusal(std::string(40, '[') + std::string(40, ']')), HasSubstr("levels"));
}

TEST(Yaml, AliasesThatGrowOrGoInCirclesEnd) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i) {
    bomb += str("a", i, ": &a", i, " [");
    for (int j = 0; j < 10; ++j) bomb += str(j == 0 ? "" : ", ", "*a", i - 1);
    bomb += "]\n";
  }
  EXPECT_THAT(error_of(Code::bad_input, [&] { parse_yaml(bomb, "f"); }), HasSubstr("nodes"));
  EXPECT_THAT(error_of(Code::bad_input, [&] { parse_yaml("a: &a [*a]\n", "f"); }), HasSubstr("received"));
}

}  // namespace
}  // namespace dept
