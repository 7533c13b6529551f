// Slots that grow, move and are copied keep what they hold.
#include <ATen/Functions.h>
#include <gtest/gtest.h>

#include "dept/base/error.h"
#include "dept/nn/kv_cache.h"

namespace dept::nn {
namespace {

using Numbers = std::vector<int64_t>;

/// Appends `values` of each slot as keys, their negatives as values.
void append(SlotCache& cache, const Numbers& slots, const std::vector<Numbers>& values, const Numbers& prefix = {}) {
  Ragged fresh;
  Numbers all;
  for (size_t b = 0; b < slots.size(); ++b) {
    fresh.append(static_cast<int64_t>(values[b].size()), 0, 0, prefix.empty() ? -1 : prefix[b]);
    all.insert(all.end(), values[b].begin(), values[b].end());
  }
  const at::Tensor rows = cache.append(fresh, slots);
  const at::Tensor written = at::tensor(all, at::kLong).to(at::kFloat).view({-1, 1, 1});
  for (size_t layer = 0; layer < cache.layers.size(); ++layer) cache.store(layer, rows, written, -written);
}

/// What a query behind a slot sees: its prefix, then its own; `next` is appended to look.
Numbers seen(SlotCache& cache, int64_t slot, int64_t next) {
  append(cache, {slot}, {{next}});
  Ragged one;
  one.append(1, 0);
  const kernels::AttentionSpan span = cache.spans(one, {slot}).at(0);
  const at::Tensor rows = at::cat({at::arange(span.prefix_begin, span.prefix_begin + span.prefix_length),
                                   at::arange(span.k_begin, span.k_begin + span.k_length)});
  const at::Tensor k = cache.layers.back().k.index_select(0, rows).flatten(),
                   v = cache.layers.back().v.index_select(0, rows).flatten();
  EXPECT_TRUE(k.equal(-v));
  const at::Tensor numbers = k.to(at::kLong);
  return {numbers.data_ptr<int64_t>(), numbers.data_ptr<int64_t>() + numbers.numel()};
}

Numbers range(int64_t begin, int64_t end) {
  Numbers numbers;
  for (int64_t i = begin; i < end; ++i) numbers.push_back(i);
  return numbers;
}

TEST(SlotCache, GrowsTokenByToken) {
  SlotCache cache(3, 2, 1, 1, at::kFloat, 300);
  append(cache, {0, 2}, {range(1000, 1005), range(3000, 3001)});
  for (int64_t i = 0; i < 300; ++i) append(cache, {2, 0}, {{3001 + i}, {1005 + i}});
  append(cache, {1}, {range(2000, 2050)});
  EXPECT_EQ(seen(cache, 0, 1305), range(1000, 1306));
  EXPECT_EQ(seen(cache, 1, 2050), range(2000, 2051));
  EXPECT_EQ(seen(cache, 2, 3301), range(3000, 3302));
  EXPECT_LT(cache.layers[0].k.size(0), 2 * (306 + 51 + 302));  // rooms stay near what is held
}

TEST(SlotCache, KeepsRoomForWhatIsExpected) {
  SlotCache cache(50, 1, 1, 1, at::kFloat, 3);
  for (int64_t slot = 0; slot < 50; ++slot) append(cache, {slot}, {range(0, 5)});
  EXPECT_LE(cache.layers[0].k.size(0), 50 * (5 + 3));
}

// Keys and values as a fused product has them, beside queries; and heads in another order.
TEST(SlotCache, StoresPartsOfWiderRows) {
  SlotCache cache(2, 1, 2, 3, at::kBFloat16, 0);
  Ragged fresh;
  fresh.append(150, 0);
  fresh.append(160, 1);
  const at::Tensor rows = cache.append(fresh, {1, 0}), fused = at::randn({310, 8, 3}).to(at::kBFloat16);
  const at::Tensor k = fused.slice(1, 4, 6), v = fused.slice(1, 6, 8).flip(1).transpose(1, 2).contiguous().transpose(1, 2);
  cache.store(0, rows, k, v);
  EXPECT_TRUE(cache.layers[0].k.index_select(0, rows).equal(k));
  EXPECT_TRUE(cache.layers[0].v.index_select(0, rows).equal(v));
  EXPECT_FALSE(rows.equal(at::arange(310)));
  EXPECT_THROW(cache.store(1, rows, k, v), Error);
}

TEST(SlotCache, CopiesMakeRoom) {
  SlotCache cache(4, 2, 1, 1, at::kFloat, 10);
  append(cache, {0, 1}, {range(1000, 1100), range(2000, 2003)});
  cache.copy({0, 1, 0}, {1, 0, 3});  // 0 and 1 change places
  EXPECT_EQ(seen(cache, 1, 1100), range(1000, 1101));
  EXPECT_EQ(seen(cache, 0, 2003), range(2000, 2004));
  EXPECT_EQ(seen(cache, 3, 1100), range(1000, 1101));
  EXPECT_EQ(cache.length[2], 0);
}

TEST(SlotCache, SharesPrefixes) {
  SlotCache cache(3, 1, 1, 1, at::kFloat, 2);  // more come than expected
  append(cache, {0}, {range(0, 40)});
  append(cache, {0, 1, 2}, {{}, {40}, {40}}, {-1, 0, 0});
  for (int64_t i = 41; i < 100; ++i) append(cache, {1, 2}, {{i}, {i}});
  EXPECT_EQ(seen(cache, 1, 100), range(0, 101));
  EXPECT_EQ(seen(cache, 2, 100), range(0, 101));
  cache.rewind(2, 1);
  EXPECT_EQ(seen(cache, 2, 41), range(0, 42));
  EXPECT_EQ(cache.length[0], 40);
}

TEST(RowPool, GivesTheSmallestStretchThatFitsAndJoinsWhatComesBack) {
  constexpr int64_t page = RowPool::page;
  RowPool pool(10 * page);
  EXPECT_EQ(pool.take(1), 0);                // page 0
  EXPECT_EQ(pool.take(3 * page), page);      // pages 1 to 3
  EXPECT_EQ(pool.take(page + 1), 4 * page);  // pages 4, 5
  pool.give_back(page, 3 * page);
  EXPECT_EQ(pool.take(4 * page), 6 * page);
  EXPECT_EQ(pool.take(4 * page), std::nullopt);
  EXPECT_EQ(pool.take(0), 0);
  EXPECT_EQ(pool.take(2 * page), page);
  pool.give_back(0, 1);
  pool.give_back(page, 2 * page);
  EXPECT_EQ(pool.take(4 * page), 0);
}

TEST(SlotCache, OfAPoolNeverMovesASlot) {
  constexpr int64_t page = RowPool::page;
  SlotCache cache = SlotCache::pool(4, 2, 1, 1, at::kFloat, 4 * page);
  ASSERT_TRUE(cache.reserve(0, 3));
  append(cache, {0}, {{1, 2}});
  const void* rows = cache.layers[0].k.data_ptr();
  ASSERT_TRUE(cache.reserve(1, 2 * page));
  append(cache, {0, 1}, {{}, {7, 8}}, {-1, 0});
  EXPECT_FALSE(cache.reserve(2, 2 * page));
  EXPECT_EQ(seen(cache, 1, 9), (Numbers{1, 2, 7, 8, 9}));
  EXPECT_EQ(seen(cache, 0, 3), (Numbers{1, 2, 3}));
  EXPECT_EQ(cache.layers[0].k.data_ptr(), rows);
  EXPECT_THROW(append(cache, {0}, {{4}}), Error);
  cache.release(1);
  ASSERT_TRUE(cache.reserve(2, 2 * page));
  EXPECT_EQ(cache.prefix[1], -1);
  EXPECT_EQ(seen(cache, 2, 5), (Numbers{5}));
  ASSERT_TRUE(cache.reserve(3, 4));
  cache.copy({0}, {3});
  EXPECT_EQ(seen(cache, 3, 6), (Numbers{1, 2, 3, 6}));
}

}  // namespace
}  // namespace dept::nn
