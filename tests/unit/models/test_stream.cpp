#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "dept/base/error.h"
#include "dept/models/backbone.h"

namespace dept {
namespace {

using Tokens = std::vector<int64_t>;

Tokens wanted(int64_t tokens, const Tokens& asked) {
  Stream stream;
  stream.tokens.append(tokens, 0);
  stream.embeds = at::zeros({tokens, 1});
  stream.want(asked);
  return stream.wanted;
}

TEST(Stream, WantsTokensInOrderAndOnce) {
  Tokens asked, ascending;
  for (int64_t n = 20; n-- > 0;) asked.insert(asked.end(), {2 * n, 2 * n});
  for (int64_t n = 0; n < 20; ++n) ascending.push_back(2 * n);
  EXPECT_EQ(wanted(40, asked), ascending);
}

TEST(Stream, WantsAsManyAsProductsOfFewRowsNeed) {
  EXPECT_EQ(wanted(40, {30, 3}), (Tokens{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 30}));
  EXPECT_EQ(wanted(40, {}).size(), static_cast<size_t>(fewest_rows));
}

TEST(Stream, WantsAllWhereThereAreNoMore) {
  EXPECT_EQ(wanted(9, {1}), Tokens());
  EXPECT_EQ(wanted(16, {}), Tokens());
  EXPECT_THROW(wanted(40, {40}), Error);
}

}  // namespace
}  // namespace dept
