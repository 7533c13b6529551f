#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dept/data/splits.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(KShot, TakesTheSameNumberOfEachClass) {
  const std::vector<int64_t> classes = {0, 0, 0, -1, 1, 0, 1, 1};
  EXPECT_THAT(choose_k_shot(classes, 2, 4, false), ElementsAre(0, 1, 4, 6));
  EXPECT_THAT(choose_k_shot(classes, 2, 5, false), ElementsAre(0, 1, 4, 6));
  EXPECT_THAT(choose_k_shot(classes, 2, 100, false).size(), 7u);
  EXPECT_THAT(choose_k_shot(classes, 2, 1, false), IsEmpty());
}

TEST(KShot, OfTheOriginalsTheLastIsOfAnyClass) {
  EXPECT_THAT(choose_k_shot(std::vector<int64_t>{0, 1, 1, 1, 0}, 2, 4, true), ElementsAre(0, 1, 2, 3));
}

TEST(NumpyPermutation, SmallOnes) {
  EXPECT_THAT(numpy_permutation(0, 1), IsEmpty());
  EXPECT_THAT(numpy_permutation(1, 1), ElementsAre(0));
  error_of(Code::bad_input, [] { numpy_permutation(int64_t{1} << 33, 1); });
}

}  // namespace
}  // namespace dept
