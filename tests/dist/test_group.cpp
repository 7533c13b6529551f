#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "dept/dist/ranks.h"
#include "dist/ranks.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

using std::chrono::milliseconds;
using testing::Each;
using testing::ElementsAre;

TEST(Group, SumsBroadcastsAndMeets) {
  const auto codes = run_ranks(2, [](const RankInfo& info) {
    const auto group = join_group(info, milliseconds(20'000));
    if (group->rank() != info.rank || group->size() != 2) return 1;
    for (const auto type : {at::kFloat, at::kDouble}) {
      at::Tensor sum = at::arange(1000, type) * static_cast<double>(info.rank + 1);
      group->all_reduce_sum(sum);
      if (!at::equal(sum, at::arange(1000, type) * 3)) return 2;
    }
    at::Tensor told = at::full({3}, static_cast<double>(info.rank), at::kFloat);
    group->broadcast(told, 1);
    if (!at::equal(told, at::ones({3}))) return 3;
    group->barrier();
    group->leave();
    return 0;
  });
  EXPECT_THAT(codes, ElementsAre(0, 0));
}

TEST(Group, GathersWhatEachRankHas) {
  const auto codes = run_ranks(3, [](const RankInfo& info) {
    const auto group = join_group(info, milliseconds(20'000));
    const std::vector<std::string> texts = {"", std::string("a\0b", 3), "rank two's"};
    if (gather(group.get(), texts[static_cast<size_t>(info.rank)]) != texts) return 1;
    if (from_first(group.get(), str("rank ", info.rank)) != "rank 0") return 2;
    if (gather(group.get(), "") != std::vector<std::string>(3)) return 3;
    group->leave();
    return 0;
  });
  EXPECT_THAT(codes, Each(0));
}

std::string message_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.code() == Code::io ? error.what() : "another code";
  }
  return "nothing";
}

// Every other rank hears which one is gone, also those that do not wait for it, and those that are in no operation at all.
TEST(Group, ADeadRankIsNamedSoon) {
  const auto codes = run_ranks(4, [](const RankInfo& info) {
    std::atomic<bool> heard{false};
    std::string what;
    RankHooks hooks;
    hooks.lost = [&](const Error& error) {
      what = error.what();
      heard = true;
    };
    const auto group = join_group(info, milliseconds(60'000), hooks);
    at::Tensor sum = at::ones({4});
    group->all_reduce_sum(sum);
    group->at_step(17);
    if (info.rank == 2) ::_exit(0);  // without another word
    for (int i = 0; i < 90 && !heard; ++i) ::usleep(100'000);
    return heard && what == "[ranks] expected all 4 to go on, received rank 2 gone at step 17" ? 7 : 1;
  });
  EXPECT_THAT(codes, ElementsAre(7, 7, 0, 7));
}

TEST(Group, AnOperationWithADeadRankIsAnIoError) {
  const auto codes = run_ranks(2, [](const RankInfo& info) {
    const auto group = join_group(info, milliseconds(60'000));
    at::Tensor sum = at::ones({4});
    group->all_reduce_sum(sum);
    if (info.rank == 1) ::_exit(0);
    const std::string what = message_of([&] {
      group->all_reduce_sum(sum);
      group->all_reduce_sum(sum);
    });
    return what == "[ranks] expected all 2 to go on, received rank 1 gone at step 0" ? 7 : 1;
  });
  EXPECT_THAT(codes, ElementsAre(7, 0));
}

TEST(Group, ARankThatStopsIsAHangInTime) {
  const auto codes = run_ranks(2, [](const RankInfo& info) {
    const auto group = join_group(info, milliseconds(2'000));
    at::Tensor sum = at::ones({4});
    group->all_reduce_sum(sum);
    if (info.rank == 1) {
      if (const pid_t stopped = ::getpid(); ::fork() == 0) {  // which an alarm does not end
        ::sleep(8);
        ::kill(stopped, SIGKILL);
        ::_exit(0);
      }
      ::kill(::getpid(), SIGSTOP);
      return 1;
    }
    const std::string what = message_of([&] { group->all_reduce_sum(sum); });
    return what == "[ranks] expected all 2 to go on, received no sign of work from rank 1 for 2 s at step 0" ? 7 : 1;
  });
  EXPECT_EQ(codes[0], 7);
}

// The others wait for longer than the timeout, and it does not end them.
TEST(Group, ARankThatWorksForLongIsNoHang) {
  const auto codes = run_ranks(2, [](const RankInfo& info) {
    const auto group = join_group(info, milliseconds(2'000));
    group->at_step(1);
    if (info.rank == 1)
      for (const auto end = std::chrono::steady_clock::now() + milliseconds(4'000); std::chrono::steady_clock::now() < end;) {
      }
    at::Tensor sum = at::ones({4});
    group->all_reduce_sum(sum);
    group->leave();
    return 0;
  });
  EXPECT_THAT(codes, Each(0));
}

TEST(Group, ARankThatTrainsAndDoesNothingIsAHang) {
  const auto codes = run_ranks(2, [](const RankInfo& info) {
    const auto group = join_group(info, milliseconds(2'000));
    group->at_step(5);
    at::Tensor sum = at::ones({4});
    if (info.rank == 1) ::sleep(5);
    const std::string what = message_of([&] { group->all_reduce_sum(sum); });
    return what == "[ranks] expected all 2 to go on, received no sign of work from rank 1 for 2 s at step 5" ? 7 : 1;
  });
  EXPECT_THAT(codes, Each(7));
}

TEST(Group, TheErrorOfARankIsSaidByTheOthers) {
  const auto codes = run_ranks(3, [](const RankInfo& info) {
    const auto group = join_group(info, milliseconds(60'000));
    at::Tensor sum = at::ones({4});
    if (info.rank == 1) {
      group->fail({Code::bad_input, "[file] expected rows, received none"});
      return 3;
    }
    try {
      group->all_reduce_sum(sum);
    } catch (const Error& error) {
      const std::string what = error.what();
      return error.code() == Code::bad_input && what ==
                                                    "[ranks] expected all 3 to go on, received the end of rank 1 at step 0: "
                                                    "[file] expected rows, received none"
                 ? 7
                 : 1;
    }
    return 2;
  });
  EXPECT_THAT(codes, ElementsAre(7, 3, 7));
}

TEST(Group, ASignalGoesAroundTheRanks) {
  const auto codes = run_ranks(3, [](const RankInfo& info) {
    std::atomic<int> heard{0};
    RankHooks hooks;
    hooks.signal = [&] { return info.rank == 1 ? 15 : 0; };
    hooks.interrupted = [&](int signal) { heard = signal; };
    const auto group = join_group(info, milliseconds(60'000), hooks);
    for (int i = 0; i < 90 && heard == 0; ++i) ::usleep(100'000);
    group->leave();
    return heard.load();
  });
  EXPECT_THAT(codes, Each(15));
}

TEST(Group, ARankThatNeverComesIsNamedInTime) {
  const auto codes = run_ranks(3, [](const RankInfo& info) {
    if (info.rank == 1) return 0;
    const std::string what = message_of([&] { join_group(info, milliseconds(2'000)); });
    return what == "[ranks] expected all 3 within 2 s, received none from rank 1" ? 7 : 1;
  });
  EXPECT_THAT(codes, ElementsAre(7, 0, 7));
}

TEST(Group, RefusesTensorsItCannotSum) {
  const auto codes = run_ranks(2, [](const RankInfo& info) {
    const auto group = join_group(info, milliseconds(20'000));
    at::Tensor integers = at::ones({4}, at::kLong), strided = at::ones({4, 4}).t();
    int refused = 0;
    for (at::Tensor* tensor : {&integers, &strided}) {
      try {
        group->all_reduce_sum(*tensor);
      } catch (const Error& error) {
        refused += error.code() == Code::bug;
      }
    }
    group->leave();
    return refused;
  });
  EXPECT_THAT(codes, Each(2));
}

// A rank of a group that does nothing together.
class Place : public Collective {
 public:
  Place(int64_t rank, int64_t size) : rank_(rank), size_(size) {}
  int64_t rank() const override { return rank_; }
  int64_t size() const override { return size_; }
  void all_reduce_sum(at::Tensor&) override {}
  void broadcast(at::Tensor&, int64_t) override {}
  void barrier() override {}

 private:
  int64_t rank_, size_;
};

TEST(Shares, FollowEachOtherAndWeighTheSame) {
  const std::vector<int64_t> weights = {5, 1, 1, 1, 4, 4, 8};
  size_t next = 0;
  for (int64_t rank = 0; rank < 3; ++rank) {
    const Place place(rank, 3);
    const ItemRange mine = share_in_order(weights, &place);
    EXPECT_EQ(mine.begin, next);
    next = mine.end;
    int64_t sum = 0;
    for (size_t i = mine.begin; i < mine.end; ++i) sum += weights[i];
    EXPECT_EQ(sum, 8);
  }
  EXPECT_EQ(next, weights.size());
  const Place last(3, 4);
  EXPECT_EQ(share_in_order(std::vector<int64_t>{7}, &last).size(), 0u) << "fewer items than ranks";
  EXPECT_EQ(share_in_order(weights, nullptr).size(), weights.size());
}

TEST(Shares, OfABatchAreEvenInNumberAndWeight) {
  const std::vector<int64_t> weights = {9, 1, 8, 2, 7, 3};
  const Place first(0, 2), second(1, 2);
  EXPECT_THAT(share_evenly(weights, &first), ElementsAre(0, 3, 5));   // 9 + 2 + 3
  EXPECT_THAT(share_evenly(weights, &second), ElementsAre(1, 2, 4));  // 1 + 8 + 7
  EXPECT_THAT(share_evenly(std::vector<int64_t>{4}, &second), ElementsAre());
  EXPECT_THAT(share_evenly(std::vector<int64_t>{4, 4}, nullptr), ElementsAre(0, 1));
}

}  // namespace
}  // namespace dept
