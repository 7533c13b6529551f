#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dept/base/file.h"
#include "dept/base/log.h"
#include "dept/base/options.h"
#include "dept/base/text.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Arguments = std::vector<std::string>;

struct Sample {
  bool do_train = false;
  int64_t max_steps = 10;
  double learning_rate = 0.3;
  std::string optim = "adamw_hf";
  std::string causal_suffix = " Label : ";
  std::vector<std::string> labels;
  std::optional<int64_t> data_seed;
  std::optional<double> lora_lr;
  std::optional<std::string> test_file;
  std::optional<bool> bf16;
};

struct Fixture : testing::Test {
  Sample sample;
  OptionSet set;
  Scratch scratch;
  std::vector<std::string> report_to;
  Fixture() { describe(sample, set); }
  static void describe(Sample& s, OptionSet& set) {
    set.section("Training");
    set.add("do_train", s.do_train, "train");
    set.add("max_steps", s.max_steps, "steps").min(-1).max(1000);
    set.add("learning_rate", s.learning_rate, "rate of the prompt").min(0).alias("lr");
    set.add("optim", s.optim, "optimiser").choices({"adamw_hf", "adamw_torch"});
    set.section("Data");
    set.add("causal_suffix", s.causal_suffix, "text behind the source");
    set.add("labels", s.labels, "label names");
    set.add("data_seed", s.data_seed, "seed of the order").min(0);
    set.add("lora_lr", s.lora_lr, "rate of A and B").min(0);
    set.add("test_file", s.test_file, "held-out rows");
    set.add("bf16", s.bf16, "compute in bf16");
    set.ignore("dataloader_workers", "rows are read in place");
  }
};

TEST_F(Fixture, ReadsEachTypeFromFlags) {
  const auto rest = set.parse_flags({"--do_train", "--max_steps", "-1", "--learning-rate=5e-3", "--optim", "adamw_torch",
                                     "--causal_suffix", " Label :", "--labels", "a", "b", "--data_seed", "7", "--lora_lr", "1e-4",
                                     "--test_file", "x y.csv", "--bf16", "false"});
  EXPECT_TRUE(rest.empty());
  EXPECT_TRUE(sample.do_train);
  EXPECT_EQ(sample.max_steps, -1);
  EXPECT_EQ(sample.learning_rate, 5e-3);
  EXPECT_EQ(sample.optim, "adamw_torch");
  EXPECT_EQ(sample.causal_suffix, " Label :");
  EXPECT_THAT(sample.labels, ElementsAre("a", "b"));
  EXPECT_EQ(sample.data_seed, 7);
  EXPECT_EQ(sample.lora_lr, 1e-4);
  EXPECT_EQ(sample.test_file, "x y.csv");
  EXPECT_EQ(sample.bf16, false);
  EXPECT_TRUE(set.given("max-steps"));
}

TEST_F(Fixture, LeavesDefaultsAloneAndReturnsPositionals) {
  EXPECT_THAT(set.parse_flags({"recipe.yaml", "--do_train", "other.yaml", "--", "--odd"}),
              ElementsAre("recipe.yaml", "other.yaml", "--odd"));
  EXPECT_TRUE(sample.do_train);
  EXPECT_EQ(sample.max_steps, 10);
  EXPECT_FALSE(set.given("max_steps"));
  EXPECT_FALSE(sample.data_seed.has_value());
}

TEST_F(Fixture, BooleansTakeAnOptionalValue) {
  set.parse_flags({"--do_train", "true", "--bf16"});
  EXPECT_TRUE(sample.do_train);
  EXPECT_EQ(sample.bf16, true);
  set.parse_flags({"--do_train=False"});
  EXPECT_FALSE(sample.do_train);
}

TEST_F(Fixture, ListsComeInThreeForms) {
  set.parse_flags({"--labels", " negative, positive"});
  EXPECT_THAT(sample.labels, ElementsAre(" negative", " positive"));
  set.parse_flags({"--labels", "a", "--labels", "b", "c"});
  EXPECT_THAT(sample.labels, ElementsAre("a", "b", "c"));
}

TEST_F(Fixture, ScalarsKeepBracketsAndTheLastOneCounts) {
  set.parse_flags({"--causal_suffix", "[x,y]", "--lr", "1", "--learning_rate", "2"});
  EXPECT_EQ(sample.causal_suffix, "[x,y]");
  EXPECT_EQ(sample.learning_rate, 2);
}

TEST_F(Fixture, ValuesMayBeEmptyOrBeginWithADash) {
  set.parse_flags({"--causal_suffix", "", "--test_file=--x", "--labels=-a", "[b]"});
  EXPECT_EQ(sample.causal_suffix, "");
  EXPECT_EQ(sample.test_file, "--x");
  EXPECT_THAT(sample.labels, ElementsAre("-a", "[b]"));
  EXPECT_THAT(set.parse_flags({"--causal_suffix=", "-", "[x,y].yaml"}), ElementsAre("-", "[x,y].yaml"));
  EXPECT_EQ(sample.causal_suffix, "");
}

TEST_F(Fixture, NamesTheNearestFlag) {
  EXPECT_EQ(error_of(Code::usage,
                     [&] {
                       set.parse_flags({"--lerning_rate", "1"});
                     }),
            "[--lerning_rate] expected a known option (the nearest is --learning_rate), received an unknown one");
  EXPECT_EQ(error_of(Code::usage, [&] { set.parse_flags({"--zzzzzzzzz"}); }),
            "[--zzzzzzzzz] expected a known option, received an unknown one");
  EXPECT_THAT(error_of(Code::usage, [&] { set.parse_flags({"-lr", "1"}); }), HasSubstr("the nearest is --lr"));
}

TEST_F(Fixture, FlagErrorsAreOneLineWithFlagExpectedReceived) {
  const auto message = [&](Arguments arguments) { return error_of(Code::usage, [&] { set.parse_flags(arguments); }); };
  EXPECT_EQ(message({"--max_steps", "many"}), "[--max_steps] expected an integer from -1 to 1000, received \"many\"");
  EXPECT_EQ(message({"--max_steps", "1001"}), "[--max_steps] expected an integer from -1 to 1000, received \"1001\"");
  EXPECT_EQ(message({"--max_steps", "1.5"}), "[--max_steps] expected an integer from -1 to 1000, received \"1.5\"");
  EXPECT_EQ(message({"--max_steps", "9223372036854775808"}),
            "[--max_steps] expected an integer from -1 to 1000, received \"9223372036854775808\"");
  EXPECT_EQ(message({"--lr", "-0.1"}), "[--learning_rate] expected a number of at least 0, received \"-0.1\"");
  EXPECT_EQ(message({"--lr", "nan"}), "[--learning_rate] expected a number of at least 0, received \"nan\"");
  EXPECT_EQ(message({"--optim", "sgd"}), "[--optim] expected adamw_hf or adamw_torch, received \"sgd\"");
  EXPECT_EQ(message({"--max_steps"}), "[--max_steps] expected an integer from -1 to 1000, received nothing");
  EXPECT_EQ(message({"--max_steps", "--do_train"}), "[--max_steps] expected an integer from -1 to 1000, received nothing");
  EXPECT_EQ(message({"--do_train=maybe"}), "[--do_train] expected true or false, received \"maybe\"");
}

TEST_F(Fixture, ReadsYaml) {
  set.parse_file(scratch.write("a.yaml",
                               "# a recipe\ndo_train: true\nmax-steps: 150\nlearning_rate: 5e-3\ncausal_suffix: ' Label :'\n"
                               "labels: [0, no, \"a, b\"]\ndata_seed: null\nlora_lr: .5\ntest_file: \"5\"\nbf16: False\n"));
  EXPECT_TRUE(sample.do_train);
  EXPECT_EQ(sample.max_steps, 150);
  EXPECT_EQ(sample.learning_rate, 5e-3);
  EXPECT_EQ(sample.causal_suffix, " Label :");
  EXPECT_THAT(sample.labels, ElementsAre("0", "no", "a, b"));
  EXPECT_FALSE(sample.data_seed.has_value());
  EXPECT_EQ(sample.lora_lr, 0.5);
  EXPECT_EQ(sample.test_file, "5");
  EXPECT_EQ(sample.bf16, false);
}

TEST_F(Fixture, ReadsJson) {
  set.parse_file(
      scratch.write("a.json", R"({"do_train": true, "max_steps": 3, "lr": 1e-2, "labels": ["a", "b"], "bf16": null})"));
  EXPECT_TRUE(sample.do_train);
  EXPECT_EQ(sample.max_steps, 3);
  EXPECT_EQ(sample.learning_rate, 1e-2);
  EXPECT_THAT(sample.labels, ElementsAre("a", "b"));
}

TEST_F(Fixture, FlagsWinOverFilesInEitherOrder) {
  const fs::path file = scratch.write("a.yaml", "max_steps: 150\nlearning_rate: 0.1\n");
  set.parse_flags({"--max_steps", "5"});
  set.parse_file(file);
  EXPECT_EQ(sample.max_steps, 5);
  EXPECT_EQ(sample.learning_rate, 0.1);
  set.parse_flags({"--learning_rate", "0.2"});
  EXPECT_EQ(sample.learning_rate, 0.2);
}

TEST_F(Fixture, FilesAreStrict) {
  const auto message = [&](Code code, const std::string& name, std::string_view text) {
    const fs::path path = scratch.write(name, text);
    const std::string what = error_of(code, [&] { set.parse_file(path); });
    EXPECT_EQ(what.rfind("[" + path.string(), 0), 0u) << what;
    EXPECT_EQ(what.find('\n'), std::string::npos) << what;
    return what.substr(path.string().size() + 1);
  };
  EXPECT_EQ(message(Code::usage, "a.yaml", "lerning_rate: 1"),
            ": line 1: lerning_rate] expected a known option (the nearest is learning_rate), received an unknown one");
  EXPECT_EQ(message(Code::usage, "a.yaml", "# five\n\nmax_steps: \"5\""),
            ": line 3: max_steps] expected an integer from -1 to 1000, received the text \"5\"");
  EXPECT_EQ(message(Code::usage, "a.yaml", "max_steps: [5]"),
            ": line 1: max_steps] expected an integer from -1 to 1000, received a list");
  EXPECT_EQ(message(Code::usage, "a.yaml", "max_steps:"),
            ": line 1: max_steps] expected an integer from -1 to 1000, received null");
  EXPECT_EQ(message(Code::usage, "a.yaml", "labels:"), ": line 1: labels] expected a text or a list of texts, received null");
  EXPECT_EQ(message(Code::usage, "a.yaml", "optim: sgd"), ": line 1: optim] expected adamw_hf or adamw_torch, received \"sgd\"");
  for (const char* nested : {"[[a]]", "[{a: b}]", "{a: b}"})
    EXPECT_EQ(message(Code::usage, "a.yaml", str("labels: ", nested)),
              ": line 1: labels] expected a text or a list of texts, received a mapping or a nested list");
  EXPECT_EQ(message(Code::usage, "a.json", R"({"labels": [["a"]]})"),
            ": labels] expected a text or a list of texts, received a mapping or a nested list");
  EXPECT_EQ(message(Code::usage, "a.yaml", "max_steps: 1\nmax_steps: 2"),
            ": line 2: max_steps] expected each option once, received it twice");
  EXPECT_EQ(message(Code::usage, "a.yaml", "lr: 1\nlearning_rate: 2"),
            ": line 2: learning_rate] expected each option once, received it twice");
  EXPECT_THAT(message(Code::bad_input, "a.yaml", "max_steps: [1"), HasSubstr("expected valid YAML"));
  EXPECT_THAT(message(Code::bad_input, "a.yaml", "- a\n- b"), HasSubstr("options, as in max_steps: 100"));
  EXPECT_THAT(message(Code::bad_input, "a.yaml", "a: \"\xff\""), HasSubstr("UTF-8"));
  EXPECT_THAT(message(Code::bad_input, "a.yaml", "lr: 1\n---\nlr: 2"), HasSubstr("one YAML document"));
  EXPECT_THAT(message(Code::bad_input, "a.yaml", std::string(100000, '[')), HasSubstr("expected valid YAML"));
  EXPECT_THAT(message(Code::bad_input, "a.json", R"({"max_steps": 1, "max_steps": 2})"), HasSubstr("twice"));
  EXPECT_EQ(message(Code::usage, "a.json", R"({"max_steps": 1.0})"),
            ": max_steps] expected an integer from -1 to 1000, received \"1.0\"");
  EXPECT_EQ(message(Code::usage, "a.toml", ""), "] expected a recipe, which is a .yaml, .yml or .json file, received \".toml\"");
  error_of(Code::io, [&] { set.parse_file(scratch / "none.yaml"); });
}

TEST_F(Fixture, AListTakesASingleValueOfAFile) {
  for (const char* yaml : {"labels: a", "labels: [a]", "labels: 'a'", "labels:\n  - a"}) {
    set.parse_file(scratch.write("a.yaml", yaml));
    EXPECT_THAT(sample.labels, ElementsAre("a")) << yaml;
  }
  set.parse_file(scratch.write("a.yaml", "labels: a,b"));
  EXPECT_THAT(sample.labels, ElementsAre("a", "b")) << "as --labels a,b";
  set.parse_file(scratch.write("a.json", R"({"labels": "c"})"));
  EXPECT_THAT(sample.labels, ElementsAre("c"));
  set.add("report_to", report_to, "logs").choices({"tensorboard", "none"});
  set.parse_file(scratch.write("a.yaml", "report_to: none"));
  EXPECT_THAT(report_to, ElementsAre("none"));
  EXPECT_EQ(error_of(Code::usage,
                     [&] {
                       set.parse_flags({"--report_to", "none", "wandb"});
                     }),
            "[--report_to] expected tensorboard or none, received \"wandb\"");
}

TEST_F(Fixture, AllMistakesAtOnce) {
  Problems problems;
  EXPECT_THAT(set.parse_flags({"--lerning_rate", "1", "a.yaml", "--max_steps", "many", "--optim", "sgd", "--zzz", "--data_seed"},
                              problems),
              ElementsAre("a.yaml"));
  set.parse_file(scratch.write("a.yaml", "max_steps: x\nrate: 1\nlabels: {a: b}\n"), problems);
  const std::string message = error_of(Code::usage, [&] { problems.raise(); });
  for (const char* part : {"[--lerning_rate] ", "[--max_steps] ", "[--optim] ", "[--zzz] ", "[--data_seed] ",
                           "a.yaml: line 1: max_steps] ", "a.yaml: line 2: rate] ", "a.yaml: line 3: labels] "})
    EXPECT_THAT(message, HasSubstr(part));
  EXPECT_EQ(sample.max_steps, 10) << "what is wrong changes nothing";
  EXPECT_EQ(message.find('\n'), std::string::npos);
}

TEST(Problems, OfSeveralChecksAreSaidOnce) {
  const auto broken = [](const std::vector<std::string>& names) {
    Problems some;
    for (const std::string& name : names) some.attempt([&] { fail(Code::io, name, "one", "none"); });
    some.raise();
  };
  Problems problems;
  EXPECT_FALSE(problems.attempt([&] { broken({"a", "b"}); }));
  EXPECT_FALSE(problems.attempt([&] { broken({"b", "c"}); }));
  EXPECT_EQ(error_of(Code::io, [&] { problems.raise(); }),
            "[a] expected one, received none; [b] expected one, received none; [c] expected one, received none");
}

TEST_F(Fixture, NamesOfOtherToolsLeadToOurs) {
  EXPECT_EQ(error_of(Code::usage,
                     [&] {
                       set.parse_flags({"--optimizer", "adam"});
                     }),
            "[--optimizer] expected a known option (here it is --optim), received an unknown one");
  EXPECT_THAT(error_of(Code::usage, [&] { set.parse_file(scratch.write("a.yaml", "\ntest-data: x.csv")); }),
              HasSubstr("a.yaml: line 2: test-data] expected a known option (here it is test_file), received an unknown one"));
  EXPECT_TRUE(set.given("test_file")) << "nobody needs to hear that it is missing";
  set.lead({"config"}, "a recipe stands without a flag");
  EXPECT_THAT(error_of(Code::usage,
                       [&] {
                         set.parse_flags({"--config", "a.yaml"});
                       }),
              HasSubstr("(a recipe stands without a flag)"));
}

TEST_F(Fixture, ARuleSaysWhatIsExpected) {
  std::string device = "cpu";
  set.add("device", device, "where").rule("cpu|cuda", [](const std::string& text) { return text == "cpu" ? "" : "cpu for now"; });
  EXPECT_EQ(error_of(Code::usage,
                     [&] {
                       set.parse_flags({"--device", "cuda"});
                     }),
            "[--device] expected cpu for now, received \"cuda\"");
  set.parse_flags({"--device", "cpu"});
  EXPECT_THAT(set.help(""), HasSubstr("--device cpu|cuda"));
}

TEST_F(Fixture, OptionsThatACommandDoesNotUse) {
  set.leave_out({"Training"}, {"max_steps"}, "nothing is trained");
  EXPECT_THAT(set.help(""), testing::Not(HasSubstr("--learning_rate")));
  EXPECT_THAT(set.help(""), HasSubstr("--max_steps"));
  EXPECT_THAT(error_of(Code::usage,
                       [&] {
                         set.parse_flags({"--optimizer", "x"});
                       }),
              HasSubstr("(here it is --optim, without effect: nothing is trained)"));
  set.parse_file(scratch.write("a.yaml", "optim: adamw_torch\n"));
  set.parse_flags({"--lr", "1", "--max_steps", "3", "--dataloader_workers", "2"});
  log::to_file(scratch / "log");
  set.warn_of_idle_flags();
  set.warn_idle("data_seed", "not given");
  set.warn_idle("max_steps", "of this reason");
  log::close_file();
  const std::string logged = read_file(scratch / "log");
  EXPECT_THAT(logged, HasSubstr("--learning_rate has no effect: nothing is trained"));
  EXPECT_THAT(logged, HasSubstr("--dataloader_workers has no effect: rows are read in place"));
  EXPECT_THAT(logged, HasSubstr("--max_steps has no effect: of this reason"));
  EXPECT_THAT(logged, testing::Not(HasSubstr("--optim"))) << "a recipe serves several commands";
  EXPECT_THAT(logged, testing::Not(HasSubstr("--data_seed")));
}

TEST_F(Fixture, WrongFileValuesAreRefusedEvenUnderAFlag) {
  set.parse_flags({"--max_steps", "5"});
  error_of(Code::usage, [&] { set.parse_file(scratch.write("a.yaml", "max_steps: x")); });
  EXPECT_EQ(sample.max_steps, 5);
}

TEST_F(Fixture, DumpReadsBackIdentically) {
  sample.causal_suffix = "line\nbreak \"quoted\" \\ tab\t \x7f \u0085 \ufeff \u00e9\u4e2d \U0001F600 #: - [x]";
  sample.labels = {"yes", "0", "", " a", "a: b", "null", "plain-word", "1e5"};
  sample.learning_rate = 0.1 + 0.2;
  sample.lora_lr = 1e-300;
  sample.test_file = "~";
  sample.bf16 = true;
  const std::string dumped = set.dump_yaml();

  Sample other;
  OptionSet reread;
  describe(other, reread);
  reread.parse_file(scratch.write("dump.yaml", dumped));
  EXPECT_EQ(reread.dump_yaml(), dumped);
  EXPECT_EQ(other.causal_suffix, sample.causal_suffix);
  EXPECT_EQ(other.labels, sample.labels);
  EXPECT_EQ(other.learning_rate, sample.learning_rate);
  EXPECT_EQ(other.lora_lr, sample.lora_lr);
  EXPECT_EQ(other.test_file, sample.test_file);
  EXPECT_EQ(other.data_seed, sample.data_seed);

  Sample third;
  OptionSet from_json;
  describe(third, from_json);
  from_json.parse_file(scratch.write("dump.json", set.dump_json().dump()));
  EXPECT_EQ(from_json.dump_yaml(), dumped);
}

TEST_F(Fixture, IgnoredFlagsTakeAnOptionalValue) {
  EXPECT_THAT(set.parse_flags({"--dataloader_workers", "4", "--do_train"}), ElementsAre());
  EXPECT_TRUE(sample.do_train);
  EXPECT_THAT(set.parse_flags({"--dataloader-workers=4", "x"}), ElementsAre("x"));
  set.parse_file(scratch.write("a.yaml", "dataloader_workers: 4"));
}

TEST_F(Fixture, HelpEndsInExamples) {
  EXPECT_THAT(set.help("Usage\n", "  dept train a.yaml\n"), testing::EndsWith("\nExamples:\n  dept train a.yaml\n"));
}

TEST_F(Fixture, HelpShowsEverything) {
  const std::string help = set.help("Usage: dept train [RECIPE] [--flags]\n");
  for (const char* part :
       {"Usage: dept train", "\nTraining:\n", "\nData:\n", "--learning_rate NUMBER",
        "rate of the prompt (at least 0) [0.3]; also --lr", "--optim adamw_hf|adamw_torch", "--labels TEXT..."})
    EXPECT_THAT(help, HasSubstr(part));
}

TEST_F(Fixture, RefusesTheSameOptionTwice) {
  error_of(Code::bug, [&] { set.add("lr", sample.learning_rate, ""); });
}

}  // namespace
}  // namespace dept
