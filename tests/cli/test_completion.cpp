// dept completion: bash completes by it; zsh and fish find no mistake in it where they are there.
#include <gmock/gmock.h>

#include <algorithm>
#include <cstdio>
#include <sstream>

#include "cli/program.h"

namespace dept {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using Words = std::vector<std::string>;

std::string output_of(const std::string& command, int& status) {
  std::string out;
  FILE* pipe = ::popen(command.c_str(), "r");
  char buffer[4096];
  for (size_t count; (count = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) out.append(buffer, count);
  status = ::pclose(pipe);
  return out;
}

class Completion : public ::testing::Test {
 protected:
  std::string script(const std::string& shell) const {
    const Outcome outcome = run_dept({"completion", shell});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(outcome.err, "");
    return scratch_.write(shell, outcome.out).string();
  }
  // What bash offers for the last of the words; run in a folder with one file, rows.csv.
  Words offered(const Words& words) const {
    scratch_.write("rows.csv", "");
    std::string line = "cd '" + scratch_.path().string() + "' && bash -c 'source ./bash && COMP_WORDS=(";
    for (const std::string& word : words) line += " \"" + word + "\"";
    line += ") COMP_CWORD=" + std::to_string(words.size() - 1) + " && _dept && printf \"%s\\n\" \"${COMPREPLY[@]}\"'";
    int status = 0;
    std::istringstream lines(output_of(line, status));
    EXPECT_EQ(status, 0) << line;
    Words found;
    for (std::string each; std::getline(lines, each);)
      if (!each.empty()) found.push_back(each);
    return found;
  }
  Scratch scratch_;
};

TEST_F(Completion, BashOffersCommandsFlagsChoicesAndFiles) {
  script("bash");
  EXPECT_THAT(offered({"dept", ""}),
              testing::AllOf(Contains("train"), Contains("predict"), Contains("completion"), Contains("--help")));
  EXPECT_THAT(offered({"dept", "tr"}), ElementsAre("train"));
  EXPECT_THAT(offered({"dept", "data", ""}), testing::IsSupersetOf({"list", "fetch", "show", "score"}));
  EXPECT_THAT(offered({"dept", "data", "show", "--k_"}), ElementsAre("--k_shot_examples"));
  EXPECT_THAT(offered({"dept", "train", "--lr_scheduler_t"}), ElementsAre("--lr_scheduler_type"));
  EXPECT_THAT(offered({"dept", "train", "--eval_strategy", ""}), ElementsAre("no", "steps", "epoch"));
  EXPECT_THAT(offered({"dept", "train", "--eval-strategy", "s"}), ElementsAre("steps"));
  EXPECT_THAT(offered({"dept", "train", "--eval_strategy", "=", "s"}), ElementsAre("steps"));
  EXPECT_THAT(offered({"dept", "train", "--eval_strategy", "="}), ElementsAre("no", "steps", "epoch"));
  EXPECT_THAT(offered({"dept", "train", "--device", "c"}), ElementsAre("cpu", "cuda"));
  EXPECT_THAT(offered({"dept", "train", "--do_train", "f"}), ElementsAre("false"));
  EXPECT_THAT(offered({"dept", "train", "--train_file", "r"}), ElementsAre("rows.csv"));
  EXPECT_THAT(offered({"dept", "train", "r"}), ElementsAre("rows.csv"));
  EXPECT_THAT(offered({"dept", "train", "--max_steps", ""}), ElementsAre()) << "a number";
  const Words eval = offered({"dept", "eval", "--"});
  EXPECT_THAT(eval, Contains("--split"));
  EXPECT_THAT(eval, Not(Contains("--learning_rate"))) << "eval does not use it";
}

TEST_F(Completion, ZshAndFishAreSoundWhereTheyAreThere) {
  int status = 0;
  for (const std::string shell : {"zsh", "fish"}) {
    const std::string path = script(shell);
    EXPECT_THAT(read_file(path), HasSubstr("learning_rate"));
    if (output_of("command -v " + shell, status).empty()) continue;
    const std::string said = output_of(shell + " -n '" + path + "' 2>&1", status);
    EXPECT_EQ(status, 0) << said;
  }
}

TEST_F(Completion, AnotherShellIsRefused) {
  EXPECT_THAT(expect_one_line(run_dept({"completion", "csh"}), 2), HasSubstr("bash, zsh or fish"));
  EXPECT_THAT(expect_one_line(run_dept({"completion"}), 2), HasSubstr("received nothing"));
}

}  // namespace
}  // namespace dept
