#include <gtest/gtest.h>

#include "dept/base/json.h"
#include "dept/data/sampler.h"

namespace dept {
namespace test_sampler {

Json golden() {
  return read_json(DEPT_TEST_DATA "/parity/data/data/sampler.json");
}

void expect_order(const std::vector<int64_t>& order, const Json& expected) {
  if (expected.contains("order")) {
    EXPECT_EQ(order, expected.at("order").get<std::vector<int64_t>>());
    return;
  }
  ASSERT_GT(order.size(), 16u);
  EXPECT_EQ(std::vector<int64_t>(order.begin(), order.begin() + 8), expected.at("first").get<std::vector<int64_t>>());
  EXPECT_EQ(std::vector<int64_t>(order.end() - 8, order.end()), expected.at("last").get<std::vector<int64_t>>());
  constexpr uint64_t prime = (uint64_t{1} << 61) - 1;
  uint64_t sum = 0;
  for (size_t i = 0; i < order.size(); ++i) sum = (sum + (i + 1) * static_cast<uint64_t>(order[i])) % prime;
  EXPECT_EQ(sum, expected.at("sum").get<uint64_t>());
}

TEST(SamplerParity, GeneratorSeedIsTorchsFirstDraw) {
  EXPECT_EQ(EpochSampler::generator_seed(42), 6909045637428952499u);
  for (const Json& one : golden().at("generator_seed"))
    EXPECT_EQ(EpochSampler::generator_seed(one.at("seed").get<uint64_t>()), one.at("value").get<uint64_t>());
}

TEST(SamplerParity, PermutationsOfEverySize) {
  for (const Json& one : golden().at("permutation")) {
    SCOPED_TRACE(one.at("n").dump());
    expect_order(seeded_permutation(one.at("n").get<int64_t>(), one.at("seed").get<uint64_t>()), one);
  }
}

TEST(SamplerParity, EpochsAsRandomSamplerDrawsThem) {
  for (const Json& one : golden().at("epochs")) {
    EpochSampler sampler(one.at("n").get<int64_t>(), one.at("seed").get<uint64_t>());
    int64_t epoch = 0;
    for (const Json& expected : one.at("epochs")) {
      SCOPED_TRACE(epoch);
      if (epoch > 0) sampler.next_epoch();
      EXPECT_EQ(sampler.epoch(), epoch++);
      expect_order(sampler.order(), expected);
    }
  }
}

}  // namespace test_sampler
}  // namespace dept
