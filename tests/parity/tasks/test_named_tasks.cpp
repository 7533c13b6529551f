// The 34 tasks against the original's own modules (tests/parity/make/named_tasks.py).
#include <gtest/gtest.h>

#include "dept/base/json.h"
#include "dept/tasks/named_task.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

using Strings = std::vector<std::string>;

const OrderedJson& golden() {
  static const OrderedJson json = OrderedJson::parse(read_file(DEPT_TEST_DATA "/parity/data/tasks/named.json"));
  return json;
}

std::string lines_of(const OrderedJson& rows) {
  std::string lines;
  for (const OrderedJson& row : rows) lines += row.dump() + "\n";
  return lines;
}

OrderedJson texts(const std::vector<TextExample>& examples) {
  OrderedJson pairs = OrderedJson::array();
  for (const TextExample& example : examples) pairs.push_back({example.source, example.target});
  return pairs;
}

class Named : public ::testing::Test {
 protected:
  NamedTaskOptions options(const std::string& name, const fs::path& file) {
    NamedTaskOptions o;
    o.task_name = name;
    o.train_file = o.validation_file = o.test_file = {file.string()};
    return o;
  }
  Scratch scratch_;
};

TEST_F(Named, TextsEqualTheOriginals) {
  ASSERT_EQ(golden()["tasks"].size(), 34u);
  for (const OrderedJson& task : golden()["tasks"]) {
    const auto name = task["name"].get<std::string>();
    NamedTaskOptions o = options(name, scratch_.write(name + ".jsonl", lines_of(task["rows"])));
    EXPECT_EQ(texts(load_named_split(o, SplitName::validation)), task["default"]) << name;
    o.original_quirks = true;
    o.split_validation_test = false;
    if (task["original"].is_null()) {
      EXPECT_NE(error_of(Code::bad_input, [&] { load_named_split(o, SplitName::validation); }).find("context"),
                std::string::npos);
      continue;
    }
    EXPECT_EQ(texts(load_named_split(o, SplitName::validation)), task["original"]) << name;
    o.add_prefix = true;
    EXPECT_EQ(load_named_split(o, SplitName::validation).front().source, task["prefixed"].get<std::string>()) << name;
  }
}

TEST_F(Named, DescriptionsEqualTheOriginals) {
  const std::vector<TaskDescription> tasks = built_in_tasks(Quirks());
  ASSERT_EQ(tasks.size(), 34u);
  for (size_t i = 0; i < tasks.size(); ++i) {
    const OrderedJson& expected = golden()["tasks"][i];
    ASSERT_EQ(tasks[i].name, expected["name"].get<std::string>());
    EXPECT_EQ(tasks[i].labels, expected["labels"].get<Strings>()) << tasks[i].name;
    if (!expected["metrics"].is_null()) {
      EXPECT_EQ(tasks[i].metrics, expected["metrics"].get<Strings>()) << tasks[i].name;
    }
    const char* divides[] = {"none", "validation", "train"};
    EXPECT_EQ(divides[static_cast<int>(tasks[i].divide)], expected["divide"].get<std::string>()) << tasks[i].name;
    for (const SplitName split : {SplitName::train, SplitName::validation, SplitName::test}) {
      const std::string ours(to_string(split));
      const bool there = expected["splits"].contains(ours) && !(tasks[i].name == "drop" && ours == "test");
      EXPECT_EQ(tasks[i].split(split), there ? expected["splits"][ours].get<std::string>() : "") << tasks[i].name;
    }
  }
}

void expect_order(const std::vector<TextExample>& examples, const OrderedJson& expected, const std::string& what) {
  std::vector<int64_t> order;
  for (const TextExample& example : examples) order.push_back(example.index);
  if (expected.contains("order")) {
    EXPECT_EQ(order, expected["order"].get<std::vector<int64_t>>()) << what;
    return;
  }
  ASSERT_EQ(order.size(), expected["count"].get<size_t>()) << what;
  int64_t sum = 0;
  for (size_t i = 0; i < order.size(); ++i) sum += static_cast<int64_t>(i + 1) * order[i];
  EXPECT_EQ(sum, expected["sum"].get<int64_t>()) << what;
  const std::vector<int64_t> first(order.begin(), order.begin() + 6), last(order.end() - 6, order.end());
  EXPECT_EQ(first, expected["first"].get<std::vector<int64_t>>()) << what;
  EXPECT_EQ(last, expected["last"].get<std::vector<int64_t>>()) << what;
}

TEST_F(Named, SplitsEqualTheOriginals) {
  for (const OrderedJson& one : golden()["splits"]) {
    std::string rows = "sentence,sentence1,sentence2,label\n";
    for (int64_t i = 0; i < one["n"].get<int64_t>(); ++i) rows += str(i, ",", i, ",x,0\n");
    NamedTaskOptions o = options(one["task"], scratch_.write("rows.csv", rows));
    o.original_quirks = true;  // the rule goes through the files as well
    o.split_validation_test = one["divided"].get<bool>();
    if (!one["max_samples"].is_null())
      o.max_train_samples = o.max_eval_samples = o.max_predict_samples = one["max_samples"].get<int64_t>();
    const std::string split = one["split"];
    const SplitName name = split == "train" ? SplitName::train : split == "test" ? SplitName::test : SplitName::validation;
    expect_order(load_named_split(o, name), one, one.dump().substr(0, 120));
  }
}

TEST_F(Named, KShotDrawsEqualTheOriginals) {
  for (const OrderedJson& one : golden()["k_shot"]) {
    std::string rows = "sentence1,sentence2,premise,hypothesis,label\n";
    for (const OrderedJson& target : one["targets"]) rows += str("a,b,c,d,", target.get<std::string>(), "\n");
    NamedTaskOptions o = options(one["task"], scratch_.write("rows.csv", rows));
    o.k_shot_examples = one["k"].get<int64_t>();
    o.seed = one["seed"].get<int64_t>();
    for (const bool original : {true, false}) {
      o.original_quirks = original;
      std::vector<int64_t> chosen;
      for (const TextExample& example : load_named_split(o, SplitName::train)) chosen.push_back(example.index);
      EXPECT_EQ(chosen, one[original ? "original" : "default"].get<std::vector<int64_t>>())
          << one.dump().substr(0, 40) << original;
    }
  }
}

TEST(NamedMetrics, AnswersAsInSquad) {
  for (const OrderedJson& one : golden()["answers"]) {
    MetricExtras extras;
    extras.answers = one["answers"].get<std::vector<Strings>>();
    Strings targets;
    for (const Strings& answers : extras.answers) targets.push_back(answers.front());
    for (const auto& [name, expected] : one["expected"].items())
      EXPECT_NEAR(compute_metric(name, one["predictions"].get<Strings>(), targets, {}, extras), expected.get<double>(), 1e-9)
          << name;
  }
}

TEST(NamedMetrics, CleanUpAsInTransformers) {
  for (const OrderedJson& one : golden()["clean_up"])
    EXPECT_EQ(clean_up_spaces(one["text"].get<std::string>()), one["expected"].get<std::string>());
}

TEST(NamedMetrics, LabelsAsInTheOriginal) {
  for (const OrderedJson& one : golden()["labels"]) {
    const MetricExtras extras{{}, one["groups"].get<Strings>()};
    for (const auto& [name, expected] : one["expected"].items())
      EXPECT_NEAR(compute_metric(name, one["predictions"].get<Strings>(), one["targets"].get<Strings>(),
                                 one["labels"].get<Strings>(), extras),
                  expected.get<double>(), 1e-9)
          << name;
  }
}

// make/marks.py: each span is a pattern of Python's re, and what ends the original's run is refused.
TEST_F(Named, MarksEqualPythonsPatterns) {
  const OrderedJson cases = OrderedJson::parse(read_file(DEPT_TEST_DATA "/parity/data/tasks/marks.json"));
  ASSERT_GT(cases.size(), 60u);
  NamedTaskOptions o = options("superglue-wsc.fixed", scratch_ / "row.jsonl");
  o.original_quirks = true;
  o.split_validation_test = false;
  for (const OrderedJson& one : cases) {
    scratch_.write("row.jsonl", one.dump() + "\n");
    if (one["marked"].is_null()) {
      const std::string refusal = error_of(Code::bad_input, [&] { load_named_split(o, SplitName::train); });
      EXPECT_NE(refusal.find("row.jsonl:1: span1_text"), std::string::npos) << refusal;
      const std::string reason = one["error"].get<std::string>();
      const bool same = refusal.find(reason.substr(0, reason.find(" at position"))) != std::string::npos;
      EXPECT_TRUE(same || reason.find("extension") != std::string::npos || reason[0] == 'b' || reason[0] == 'i')
          << refusal << reason;
      continue;
    }
    EXPECT_EQ(load_named_split(o, SplitName::train).front().source, "text: " + one["marked"].get<std::string>()) << one;
  }
}

}  // namespace
}  // namespace dept
