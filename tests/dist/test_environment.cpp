#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dept/dist/launcher.h"
#include "unit/base/scratch.h"

extern char** environ;

namespace dept {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class Environment : public testing::Test {
 protected:
  void SetUp() override { clear(); }
  void TearDown() override { clear(); }
  static void clear() {
    std::vector<std::string> names;
    for (char** setting = environ; *setting != nullptr; ++setting)
      for (const char* prefix :
           {"RANK=", "WORLD_SIZE=", "LOCAL_", "MASTER_", "TORCHELASTIC_", "PMI", "MPI_", "OMPI_", "MV2_", "SLURM_"})
        if (std::string_view(*setting).starts_with(prefix)) names.emplace_back(*setting, std::string_view(*setting).find('='));
    for (const std::string& name : names) ::unsetenv(name.c_str());
  }
  static void set(std::initializer_list<std::pair<const char*, const char*>> variables) {
    for (const auto& [name, value] : variables) ::setenv(name, value, 1);
  }
  static std::string message() {
    return error_of(Code::usage, [] { ranks_from_environment(); });
  }
};

TEST_F(Environment, NothingIsOneRank) {
  const RankInfo info = ranks_from_environment();
  EXPECT_EQ(info.size, 1);
  EXPECT_EQ(info.launcher, "");
}

TEST_F(Environment, ReadsTorchrunsVariables) {
  set({{"RANK", "3"},
       {"WORLD_SIZE", "4"},
       {"LOCAL_RANK", "1"},
       {"LOCAL_WORLD_SIZE", "2"},
       {"MASTER_ADDR", "node0"},
       {"MASTER_PORT", "29500"},
       {"TORCHELASTIC_USE_AGENT_STORE", "True"},
       {"TORCHELASTIC_RESTART_COUNT", "2"}});
  const RankInfo info = ranks_from_environment();
  EXPECT_EQ(info.launcher, "torchrun");
  EXPECT_EQ(info.rank, 3);
  EXPECT_EQ(info.size, 4);
  EXPECT_EQ(info.local_rank, 1);
  EXPECT_EQ(info.local_size, 2);
  EXPECT_EQ(info.master_address, "node0");
  EXPECT_EQ(info.master_port, 29500);
  EXPECT_TRUE(info.launcher_has_store);
  EXPECT_EQ(info.attempt, 2);
}

TEST_F(Environment, VariablesByHandNeedNoLocalOnes) {
  set({{"RANK", "1"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "127.0.0.1"}, {"MASTER_PORT", "29500"}});
  EXPECT_EQ(ranks_from_environment().local_rank, 1);
  EXPECT_EQ(ranks_from_environment().local_size, 2);
  set({{"MASTER_ADDR", "job-0.job"}});  // one rank a pod, for all that is known
  EXPECT_EQ(ranks_from_environment().local_size, 1);
  set({{"LOCAL_RANK", "1"}});
  EXPECT_EQ(ranks_from_environment().local_rank, 1);
}

TEST_F(Environment, NamesWhatIsMissingOrWrong) {
  set({{"RANK", "0"}});
  EXPECT_THAT(message(), HasSubstr("[WORLD_SIZE] expected an integer from 1 to 65536, as torchrun sets it, received nothing"));
  set({{"WORLD_SIZE", "two"}});
  EXPECT_THAT(message(), HasSubstr("received \"two\""));
  set({{"WORLD_SIZE", "2"}});
  EXPECT_THAT(message(), HasSubstr("[MASTER_ADDR]"));
  set({{"MASTER_ADDR", "localhost"}});
  EXPECT_THAT(message(), HasSubstr("[MASTER_PORT] expected an integer from 1 to 65535"));
  set({{"MASTER_PORT", "70000"}});
  EXPECT_THAT(message(), HasSubstr("received \"70000\""));
  set({{"MASTER_PORT", "29500"}, {"RANK", "2"}});
  EXPECT_THAT(message(), HasSubstr("[RANK] expected an integer from 0 to 1, as torchrun sets it, received \"2\""));
  ::unsetenv("RANK");
  EXPECT_THAT(message(), HasSubstr("[RANK] expected an integer from 0 to 1, as torchrun sets it, received nothing"));
  clear();
  set({{"OMPI_COMM_WORLD_SIZE", "4"}});
  EXPECT_THAT(message(), HasSubstr("[OMPI_COMM_WORLD_RANK]"));
  clear();
  set({{"SLURM_STEP_ID", "0"}, {"SLURM_NTASKS", "4"}});
  EXPECT_THAT(message(), HasSubstr("[SLURM_PROCID] expected an integer from 0 to 3, as srun sets it, received nothing"));
}

TEST_F(Environment, MpirunOnOneHostNeedsNoAddress) {
  for (const std::string prefix : {"OMPI_COMM_WORLD_", "MV2_COMM_WORLD_"}) {
    clear();
    for (const auto& [name, value] : {std::pair("RANK", "1"), {"SIZE", "4"}, {"LOCAL_RANK", "1"}, {"LOCAL_SIZE", "4"}})
      ::setenv((prefix + name).c_str(), value, 1);
    const RankInfo info = ranks_from_environment();
    EXPECT_EQ(info.launcher, "mpirun");
    EXPECT_EQ(info.rank, 1);
    EXPECT_EQ(info.local_size, 4);
    EXPECT_EQ(info.master_address, "127.0.0.1");
    EXPECT_EQ(info.master_port, ranks_from_environment().master_port);
    ::setenv((prefix + "LOCAL_SIZE").c_str(), "2", 1);
    EXPECT_THAT(message(), AllOf(HasSubstr("[MASTER_ADDR]"), HasSubstr("mpirun are on several hosts")));
    set({{"MASTER_ADDR", "node7"}});
    EXPECT_EQ(ranks_from_environment().master_address, "node7");
  }
  clear();
  set({{"PMI_RANK", "2"}, {"PMI_SIZE", "3"}, {"MPI_LOCALRANKID", "2"}, {"MPI_LOCALNRANKS", "3"}});
  EXPECT_EQ(ranks_from_environment().rank, 2);
  EXPECT_EQ(ranks_from_environment().local_rank, 2);
}

TEST_F(Environment, ReadsSlurmsStep) {
  set({{"SLURM_PROCID", "5"},
       {"SLURM_NTASKS", "7"},
       {"SLURM_LOCALID", "1"},
       {"SLURM_NODEID", "1"},
       {"SLURM_JOB_ID", "4711"},
       {"SLURM_STEP_NODELIST", "gpu[07-08],login1"},
       {"SLURM_STEP_TASKS_PER_NODE", "4,2,1"}});
  EXPECT_EQ(ranks_from_environment().size, 1) << "the shell of a batch job";
  set({{"SLURM_STEP_ID", "0"}});
  const RankInfo info = ranks_from_environment();
  EXPECT_EQ(info.launcher, "srun");
  EXPECT_EQ(info.rank, 5);
  EXPECT_EQ(info.size, 7);
  EXPECT_EQ(info.local_rank, 1);
  EXPECT_EQ(info.local_size, 2);
  EXPECT_EQ(info.master_address, "gpu07");
  const uint16_t port = info.master_port;
  EXPECT_GE(port, 20'000);
  EXPECT_LT(port, 30'000);
  set({{"SLURM_STEP_ID", "1"}});
  EXPECT_NE(ranks_from_environment().master_port, port) << "another step of the job";
  set({{"MASTER_ADDR", "other"}, {"MASTER_PORT", "1234"}});
  EXPECT_EQ(ranks_from_environment().master_address, "other");
  EXPECT_EQ(ranks_from_environment().master_port, 1234);
  set({{"SLURM_NTASKS", "1"}, {"SLURM_PROCID", "0"}});
  EXPECT_EQ(ranks_from_environment().launcher, "") << "a step of one task is a shell";
}

TEST_F(Environment, TorchrunWithinSlurmIsTorchrun) {
  set({{"SLURM_STEP_ID", "0"},
       {"SLURM_PROCID", "0"},
       {"SLURM_NTASKS", "2"},
       {"SLURM_STEP_NODELIST", "a,b"},
       {"RANK", "5"},
       {"WORLD_SIZE", "8"},
       {"LOCAL_RANK", "1"},
       {"LOCAL_WORLD_SIZE", "4"},
       {"MASTER_ADDR", "a"},
       {"MASTER_PORT", "29500"}});
  EXPECT_EQ(ranks_from_environment().rank, 5);
  EXPECT_EQ(ranks_from_environment().local_size, 4);
}

TEST(Slurm, TheFirstHostOfAList) {
  for (const auto& [list, host] : {std::pair("node1", "node1"),
                                   {"node1,node2", "node1"},
                                   {"node[1-4]", "node1"},
                                   {"node[001-128,200]", "node001"},
                                   {"node[7],gpu[1-2]", "node7"},
                                   {"rack[2-3]node[05-06]-ib,x", "rack2node05-ib"},
                                   {"10.0.0.1", "10.0.0.1"}})
    EXPECT_EQ(first_host(list), host) << list;
  for (const char* list : {"", ",a", "node[", "node[]", "node[a-b]", "node]1", "node[1x]"})
    EXPECT_THAT(error_of(Code::usage, [&] { first_host(list); }), HasSubstr("[SLURM_STEP_NODELIST]")) << list;
}

TEST(Slurm, TasksOfAHost) {
  EXPECT_EQ(tasks_on_node("4", 0), 4);
  EXPECT_EQ(tasks_on_node("4(x2),1", 1), 4);
  EXPECT_EQ(tasks_on_node("4(x2),1", 2), 1);
  for (const char* list : {"", "x", "4(x2", "4(2)", "-1", "4,"})
    EXPECT_THAT(error_of(Code::usage, [&] { tasks_on_node(list, 1); }), HasSubstr("[SLURM_STEP_TASKS_PER_NODE]")) << list;
}

}  // namespace
}  // namespace dept
