#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dist/ranks.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

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
    return 0;
  });
  EXPECT_THAT(codes, ElementsAre(0, 0));
}

TEST(Group, ADeadRankIsAnIoErrorSoon) {
  const auto codes = run_ranks(2, [](const RankInfo& info) {
    const auto group = join_group(info, milliseconds(5'000));
    at::Tensor sum = at::ones({4});
    group->all_reduce_sum(sum);
    if (info.rank == 1) return 0;  // without another word
    try {
      group->all_reduce_sum(sum);
      group->all_reduce_sum(sum);
    } catch (const Error& error) {
      const std::string what = error.what();
      return error.code() == Code::io &&
                     what.rfind("[rank 0 of 2: all-reduce] expected every rank to take part within 5 s", 0) == 0
                 ? 7
                 : 1;
    }
    return 2;
  });
  EXPECT_THAT(codes, ElementsAre(7, 0));
}

TEST(Group, ARankThatNeverComesIsAnIoErrorInTime) {
  const auto codes = run_ranks(2, [](const RankInfo& info) {
    if (info.rank == 1) return 0;
    try {
      join_group(info, milliseconds(2'000));
    } catch (const Error& error) {
      const std::string what = error.what();
      return error.code() == Code::io && what.rfind("[rank 0 of 2: start] expected every rank to take part within 2 s", 0) == 0
                 ? 7
                 : 1;
    }
    return 2;
  });
  EXPECT_THAT(codes, ElementsAre(7, 0));
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
    return refused;
  });
  EXPECT_THAT(codes, Each(2));
}

class Environment : public testing::Test {
 protected:
  void SetUp() override { clear(); }
  void TearDown() override { clear(); }
  static void clear() {
    for (const char* name : {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_USE_AGENT_STORE",
                             "TORCHELASTIC_RESTART_COUNT", "SLURM_NTASKS", "SLURM_STEP_ID"})
      ::unsetenv(name);
  }
  static void set(const char* name, const char* value) { ::setenv(name, value, 1); }
  static std::string message() {
    return error_of(Code::usage, [] { ranks_from_environment(); });
  }
};

TEST_F(Environment, NothingIsOneRank) {
  EXPECT_EQ(ranks_from_environment().size, 1);
  EXPECT_EQ(join_group(ranks_from_environment()), nullptr);
}

TEST_F(Environment, ReadsTorchrunsVariables) {
  set("RANK", "3");
  set("WORLD_SIZE", "4");
  set("LOCAL_RANK", "1");
  set("MASTER_ADDR", "node0");
  set("MASTER_PORT", "29500");
  set("TORCHELASTIC_USE_AGENT_STORE", "True");
  set("TORCHELASTIC_RESTART_COUNT", "2");
  const RankInfo info = ranks_from_environment();
  EXPECT_EQ(info.rank, 3);
  EXPECT_EQ(info.size, 4);
  EXPECT_EQ(info.local_rank, 1);
  EXPECT_EQ(info.master_address, "node0");
  EXPECT_EQ(info.master_port, 29500);
  EXPECT_TRUE(info.launcher_has_store);
  EXPECT_EQ(info.attempt, 2);
}

TEST_F(Environment, OneProcessRefusesToBeOneOfSeveral) {
  const auto refused = [] { return error_of(Code::usage, [] { require_one_rank(); }); };
  require_one_rank();
  set("RANK", "0");
  EXPECT_THAT(refused(), HasSubstr("[WORLD_SIZE]"));
  set("WORLD_SIZE", "1");
  require_one_rank();
  set("WORLD_SIZE", "2");
  EXPECT_THAT(refused(), HasSubstr("[WORLD_SIZE] expected 1 process"));
  set("WORLD_SIZE", "two");
  EXPECT_THAT(refused(), HasSubstr("received \"two\""));
  set("WORLD_SIZE", "1");
  for (const char* name : {"PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"}) {
    set(name, "4");
    EXPECT_THAT(refused(), AllOf(HasSubstr(str("[", name, "]")), HasSubstr("mpirun"), HasSubstr("received 4")));
    ::unsetenv(name);
  }
  set("SLURM_NTASKS", "8");
  require_one_rank();  // the shell of a batch job
  set("SLURM_STEP_ID", "0");
  EXPECT_THAT(refused(), AllOf(HasSubstr("[SLURM_NTASKS]"), HasSubstr("srun")));
}

TEST_F(Environment, NamesWhatIsMissingOrWrong) {
  set("RANK", "0");
  EXPECT_THAT(message(), HasSubstr("[WORLD_SIZE] expected an integer from 1 to 65536, as torchrun sets it, received nothing"));
  set("WORLD_SIZE", "two");
  EXPECT_THAT(message(), HasSubstr("received \"two\""));
  set("WORLD_SIZE", "2");
  EXPECT_THAT(message(), HasSubstr("[MASTER_ADDR]"));
  set("MASTER_ADDR", "localhost");
  EXPECT_THAT(message(), HasSubstr("[MASTER_PORT] expected an integer from 1 to 65535"));
  set("MASTER_PORT", "70000");
  EXPECT_THAT(message(), HasSubstr("received \"70000\""));
  set("MASTER_PORT", "29500");
  set("RANK", "2");
  EXPECT_THAT(message(), HasSubstr("[RANK] expected an integer from 0 to 1, as torchrun sets it, received \"2\""));
}

}  // namespace
}  // namespace dept
