// What a wrong command is told: every mistake in one line, the names here, the choices that there are.
#include <gmock/gmock.h>

#include "cli/program.h"

namespace dept {
namespace {

using testing::HasSubstr;
using testing::Not;
using Words = std::vector<std::string>;

TEST(Messages, AllMistakesOfFlagsRecipeAndFilesInOneLine) {
  const Scratch scratch;
  const std::string recipe = scratch.write("bad.yaml", "epochs: 3\nmax_steps: many\nreport_to: wandb\n").string();
  const std::string line =
      expect_one_line(run_dept({"train", recipe, "--lr", "0.1", "--batch_size", "8", "--device", "cuda:99", "--do_train",
                                "--save_steps", "x", "--train_file", "nowhere.csv", "--push_to_hub"}),
                      2);
  for (const std::string part : {"[--lr] expected a known option (here it is --learning_rate)",
                                 "[--batch_size] expected a known option (here it is --per_device_train_batch_size)",
                                 "[--device] expected a GPU that is there, cpu or auto (here are 0 devices: ",
                                 "[--save_steps] expected an integer of at least 1, received \"x\"",
                                 "bad.yaml: line 1: epochs] expected a known option (here it is num_train_epochs)",
                                 "bad.yaml: line 2: max_steps] expected an integer of at least -1, received \"many\"",
                                 "bad.yaml: line 3: report_to] expected tensorboard, none or all, received \"wandb\"",
                                 "[--model_name_or_path] expected a model's folder", "[--output_dir] expected a folder",
                                 "[--push_to_hub] expected false", "nowhere.csv"})
    EXPECT_THAT(line, HasSubstr(part));
}

TEST(Messages, ALineForEachOfTheOtherCommandsToo) {
  const std::string line = expect_one_line(run_dept({"predict", "--model", "x", "--max_len", "5", "--predict_by", "guess"}), 2);
  for (const char* part :
       {"--model_name_or_path)", "--max_seq_length)", "[--predict_by] expected generate or score, received \"guess\""})
    EXPECT_THAT(line, HasSubstr(part));
  EXPECT_THAT(expect_one_line(run_dept({"generate", "--max_length", "5", "--beams", "2"}), 2),
              HasSubstr("(here it is --max_new_tokens)"));
  EXPECT_THAT(expect_one_line(run_dept({"train", "--config", "r.yaml"}), 2), HasSubstr("a recipe stands without a flag"));
  EXPECT_THAT(expect_one_line(run_dept({"train", "data.csv"}), 2),
              HasSubstr("[data.csv] expected a recipe, which is a .yaml, .yml or .json file, received \".csv\""));
}

TEST(Messages, ASingleValueForAListInARecipe) {
  const Scratch scratch;
  for (const auto& [yaml, dumped] : {std::pair{"report_to: none", "report_to: [none]"},
                                     {"report_to: tensorboard", "report_to: [tensorboard]"},
                                     {"report_to: all", "report_to: [all]"},
                                     {"metrics: accuracy", "metrics: [accuracy]"}})
    EXPECT_THAT(run_dept({"train", scratch.write("r.yaml", yaml).string(), "--dump_config"}).out, HasSubstr(dumped));
}

TEST(Messages, HelpHasGroupsAndExamples) {
  const Words actions[] = {{"train"},         {"eval"},           {"predict"},      {"generate"},      {"score"},
                           {"bench"},         {"data", "list"},   {"data", "show"}, {"data", "fetch"}, {"data", "score"},
                           {"model", "show"}, {"model", "fetch"}, {"tokenize"},     {"doctor"},        {"completion"}};
  for (Words words : actions) {
    words.emplace_back("--help");
    const Outcome help = run_dept(words);
    EXPECT_EQ(help.code, 0);
    EXPECT_THAT(help.out, HasSubstr("\nExamples:\n  ")) << words[0];
    EXPECT_THAT(help.out, HasSubstr("dept " + words[0]));
  }
}

}  // namespace
}  // namespace dept
