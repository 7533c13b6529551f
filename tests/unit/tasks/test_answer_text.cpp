#include <gtest/gtest.h>

#include "tasks/answer_text.h"

namespace dept {
namespace {

TEST(AnswerText, PadPunctuation) {
  EXPECT_EQ(pad_punctuation("It's  3.5%!\n"), "It ' s 3 . 5 % ! ");
  EXPECT_EQ(pad_punctuation("Crème_brûlée"), "Crème_brûlée");
  EXPECT_EQ(pad_punctuation(""), "");
}

TEST(AnswerText, NormaliseAnswer) {
  EXPECT_EQ(normalise_answer("The  cat's, a \"HAT\"!"), "cats hat");
  EXPECT_EQ(normalise_answer("another an-other theme"), "another another theme");
  EXPECT_EQ(normalise_answer("A The AN"), "");
}

TEST(AnswerText, PythonRepr) {
  const OrderedJson value =
      OrderedJson::parse(R"({"text": ["it's", "a \"b\" 'c'", "x\ny\u00a0"], "start": [1, null, true, 2.5]})");
  EXPECT_EQ(python_repr(value), R"({'text': ["it's", 'a "b" \'c\'', 'x\ny\xa0'], 'start': [1, None, True, 2.5]})");
}

TEST(AnswerText, LowerCaseAsInPython) {
  EXPECT_EQ(normalise_answer("ÎLE ΟΔΟΣ ΣΑΣ İ ǅ Ⅷ ß 中"), "île οδος σας i̇ ǆ ⅷ ß 中");
}

}  // namespace
}  // namespace dept
