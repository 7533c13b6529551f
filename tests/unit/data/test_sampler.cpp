#include <gtest/gtest.h>

#include <algorithm>

#include "dept/base/error.h"
#include "dept/data/sampler.h"

namespace dept {
namespace {

TEST(EpochSampler, EachEpochIsAnotherPermutation) {
  EpochSampler sampler(100, 7);
  const std::vector<int64_t> first = sampler.order();
  sampler.next_epoch();
  EXPECT_NE(first, sampler.order());
  std::vector<int64_t> sorted = sampler.order();
  std::sort(sorted.begin(), sorted.end());
  for (int64_t i = 0; i < 100; ++i) EXPECT_EQ(sorted[i], i);
}

TEST(EpochSampler, AnEpochMayDrawOnce) {
  EpochSampler once(20, 7, 1), twice(20, 7);
  EXPECT_EQ(once.order(), twice.order());
  once.next_epoch();
  once.next_epoch();
  twice.next_epoch();
  EXPECT_EQ(once.order(), twice.order()) << "what was drawn and dropped lies between";
}

TEST(EpochSampler, RestoredStateGoesOnAlike) {
  EpochSampler unbroken(31, 5);
  unbroken.next_epoch();
  unbroken.next_epoch();
  const std::string state = unbroken.state();

  EpochSampler resumed(31, 999);
  resumed.restore(state, unbroken.epoch());
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(resumed.epoch(), unbroken.epoch());
    EXPECT_EQ(resumed.order(), unbroken.order());
    EXPECT_EQ(resumed.state(), unbroken.state());
    unbroken.next_epoch();
    resumed.next_epoch();
  }
}

TEST(EpochSampler, RefusesBrokenState) {
  EpochSampler sampler(3, 1);
  const std::string good = sampler.state();
  for (const std::string& bad : {std::string(), std::string("abc"), good.substr(1), std::string(good.size(), '\xFF')}) {
    try {
      sampler.restore(bad, 0);
      ADD_FAILURE() << "accepted " << bad.size() << " bytes";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::bad_input);
    }
  }
}

TEST(EpochSampler, RefusesNoExamples) {
  EXPECT_THROW(EpochSampler(0, 1), Error);
}

TEST(Batches, LastOneMayBeShort) {
  const std::vector<int64_t> order{4, 2, 0, 1, 3};
  const auto slices = batches(order, 2);
  ASSERT_EQ(slices.size(), 3u);
  EXPECT_EQ(slices[0][0], 4);
  EXPECT_EQ(slices[1][1], 1);
  ASSERT_EQ(slices[2].size(), 1u);
  EXPECT_EQ(slices[2][0], 3);
  EXPECT_EQ(batches(order, 5).size(), 1u);
  EXPECT_TRUE(batches({}, 4).empty());
}

}  // namespace
}  // namespace dept
