// Who goes on, who is best, what the tables say.
#include <gmock/gmock.h>

#include <cmath>

#include "sweep/records.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

using ::testing::ElementsAre;

const Ranking by_accuracy{"accuracy", std::nullopt};

Evaluated evaluated(int64_t step, double accuracy) {
  return {step, {{"eval_loss", 1 - accuracy / 100}, {"eval_accuracy", accuracy}}};
}

RunRecord run(const std::string& name, const std::string& row, std::vector<double> rungs) {
  RunRecord record;
  record.name = name;
  record.row = row;
  for (size_t i = 0; i < rungs.size(); ++i) record.rungs.push_back(evaluated(static_cast<int64_t>(i + 1) * 10, rungs[i]));
  return record;
}

RunRecord finished(const std::string& name, const std::string& row, double accuracy) {
  RunRecord record = run(name, row, {});
  record.end = "finished";
  record.steps = 30;
  record.last = evaluated(30, accuracy);
  return record;
}

std::vector<Row> all_rows(const std::vector<RunRecord>& runs) {
  std::vector<size_t> places;
  for (size_t i = 0; i < runs.size(); ++i) places.push_back(i);
  return rows_of(runs, places);
}

TEST(Records, AThirdRoundedUpGoesOnAndTiesGoToTheEarlier) {
  std::vector<RunRecord> runs;
  for (const double accuracy : {50, 70, 60, 70, 70, 10, 20})
    runs.push_back(run(str("run", runs.size()), str(runs.size()), {accuracy}));
  EXPECT_THAT(survivors(runs, all_rows(runs), 0, 3, by_accuracy), ElementsAre(Row{1}, Row{3}, Row{4})) << "ceil(7 / 3)";
  runs[4].rungs[0] = evaluated(10, 70.5);
  EXPECT_THAT(survivors(runs, all_rows(runs), 0, 4, by_accuracy), ElementsAre(Row{1}, Row{4})) << "in the list's order";
  EXPECT_THAT(survivors(runs, all_rows(runs), 0, 3, {"loss", std::nullopt}), ElementsAre(Row{1}, Row{3}, Row{4}));
  EXPECT_THAT(survivors(runs, all_rows(runs), 0, 7, {"loss", true}), ElementsAre(Row{5})) << "its goal turned round";
}

TEST(Records, WhatIsNotFiniteIsLastAndNeverGoesOn) {
  std::vector<RunRecord> runs = {run("a", "a", {}), run("b", "b", {30}), run("c", "c", {40})};
  runs[0].end = "failed: no finite loss";
  runs[1].rungs[0].metrics["eval_accuracy"] = nullptr;  // NaN in JSON
  EXPECT_THAT(survivors(runs, all_rows(runs), 0, 2, by_accuracy), ElementsAre(Row{2})) << "of two places one stays empty";
}

TEST(Records, AMetricBesideALossThatIsNotFiniteCountsForNothing) {
  std::vector<RunRecord> runs = {run("a", "a", {90}), run("b", "b", {30}), run("c", "c", {40})};
  runs[0].rungs[0].metrics["eval_loss"] = nullptr;
  EXPECT_THAT(survivors(runs, all_rows(runs), 0, 2, by_accuracy), ElementsAre(Row{1}, Row{2}));
  runs = {finished("a", "a", 90), finished("b", "b", 30)};
  runs[0].last->metrics["eval_loss"] = nullptr;
  EXPECT_THAT(best_row(runs, all_rows(runs), by_accuracy), ElementsAre(1));
}

TEST(Records, ARungIsRankedAlikeWhenTheSweepHasGoneOn) {
  std::vector<RunRecord> runs = {run("a", "a", {50, 90}), run("b", "b", {60, 10}), run("c", "c", {40})};
  runs[0].end = "failed: later";
  EXPECT_THAT(survivors(runs, all_rows(runs), 0, 2, by_accuracy), ElementsAre(Row{0}, Row{1}));
}

TEST(Records, TheBestRowHasTheBestMean) {
  std::vector<RunRecord> runs = {finished("a1", "a", 80), finished("a2", "a", 60), finished("b1", "b", 71),
                                 finished("b2", "b", 71)};
  EXPECT_THAT(best_row(runs, all_rows(runs), by_accuracy), ElementsAre(2, 3)) << "71 beats 70; the earlier of equal runs first";
  runs[3].last = evaluated(30, 69);
  EXPECT_THAT(best_row(runs, all_rows(runs), by_accuracy), ElementsAre(0, 1)) << "ties go to the earlier row";
  runs[1].end = "failed: no finite loss";
  EXPECT_THAT(best_row(runs, all_rows(runs), by_accuracy), ElementsAre(2, 3)) << "a row that is not whole is behind";
  runs[3].last->metrics["eval_accuracy"] = nullptr;
  EXPECT_THAT(best_row(runs, all_rows(runs), by_accuracy), ElementsAre(2, 3)) << "but before one that is not finished whole";
  runs[1].end = "budget";
  EXPECT_THAT(best_row(runs, all_rows(runs), by_accuracy), ElementsAre(0))
      << "which is behind one that is finite as far as it came";
  for (RunRecord& one : runs) one.end = "budget";
  EXPECT_TRUE(best_row(runs, all_rows(runs), by_accuracy).empty());
}

TEST(Records, TheFirstMetricRanksByDefault) {
  const Ranking standard;
  EXPECT_EQ(standard.name({{"eval_loss", 1}, {"eval_f1", 2}, {"eval_em", 3}}), "eval_f1");
  EXPECT_EQ(standard.merit({{"eval_loss", 1}, {"eval_f1", 2}}), 2);
  EXPECT_EQ(standard.merit({{"eval_loss", 1.5}}), -1.5);
  EXPECT_EQ(standard.merit(OrderedJson::object()), std::nullopt);
}

TEST(Records, ARowsMeanAndDeviation) {
  std::vector<RunRecord> runs = {finished("0.3_1", "0.3", 75), finished("0.3_2", "0.3", 50), finished("0.4_1", "0.4", 25),
                                 run("0.4_2", "0.4", {0})};
  for (size_t i = 0; i < runs.size(); ++i) {
    runs[i].axes = {{"learning_rate", i < 2 ? 0.3 : 0.4}, {"seed", i % 2 + 1}, {"task_name", "a,\"b\""}};
    runs[i].seconds = 0.25;
  }
  runs[3].end = "failed: [step 3] expected a, received b";
  runs[3].steps = 12;
  runs[0].test = {{"test_accuracy", 50.5}};
  EXPECT_EQ(results_csv(runs, {"learning_rate", "seed", "task_name"}, {"seed"}),
            "name,learning_rate,task_name,runs,steps,end,eval_loss,eval_accuracy,test_accuracy,eval_loss_std,eval_accuracy_std,"
            "test_accuracy_std,seconds\n"
            "0.3,0.3,\"a,\"\"b\"\"\",2,60,finished,0.375,62.5,50.5,0.1767766952966369,17.67766952966369,,0.5\n"
            "0.4,0.4,\"a,\"\"b\"\"\",2,42,\"failed: [step 3] expected a, received b\",0.875,12.5,,0.1767766952966369,"
            "17.67766952966369,,0.5\n");
  const std::string plain = results_csv(runs, {"learning_rate", "seed", "task_name"}, {});
  EXPECT_EQ(plain.substr(0, plain.find('\n')),
            "name,learning_rate,seed,task_name,runs,steps,end,eval_loss,eval_accuracy,test_accuracy,seconds");
  runs[3].end.clear();
  EXPECT_EQ(results_csv(runs, {}, {"seed"}).find("\n0.4"), std::string::npos) << "a row that goes on is not shown";
}

TEST(Records, ALineARunAndBackFromTheState) {
  RunRecord one = run("a", "a", {50});
  one.axes = {{"learning_rate", 0.3}, {"lora_embedding_lr", nullptr}};
  one.end = "rung 1";
  one.steps = 10;
  one.seconds = 1.23456;
  EXPECT_EQ(
      results_jsonl({one}),
      R"({"name":"a","learning_rate":0.3,"lora_embedding_lr":null,"steps":10,"end":"rung 1","eval_loss":0.5,"eval_accuracy":50.0,)"
      R"("stack":1,"best":false,"seconds":1.235})"
      "\n");
  RunRecord back;
  back.name = "a", back.axes = one.axes;
  restore_record(back, OrderedJson::parse(record_json(one).dump()), "sweep.json");
  EXPECT_EQ(record_json(back), record_json(one));
  error_of(Code::bad_input, [&] { restore_record(back, {{"steps", "many"}}, "sweep.json"); });
}

}  // namespace
}  // namespace dept
