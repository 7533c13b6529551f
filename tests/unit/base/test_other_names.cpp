#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/other_names.h"

namespace dept {
namespace {

TEST(OtherNames, EachIsInOneRow) {
  std::set<std::string_view> seen;
  for (const OtherNames& row : other_names())
    for (const std::string_view other : row.others) EXPECT_TRUE(seen.insert(other).second) << other;
}

TEST(OtherNames, LeadSomewhere) {
  for (const OtherNames& row : other_names()) EXPECT_FALSE(row.ours.empty() || row.others.empty());
  EXPECT_EQ(names_here("epochs").front(), "num_train_epochs");
  EXPECT_TRUE(names_here("nothing_like_it").empty());
}

}  // namespace
}  // namespace dept
