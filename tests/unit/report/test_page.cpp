#include <gmock/gmock.h>

#include <cmath>
#include <set>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/report/report.h"
#include "report/charts.h"
#include "report/html.h"
#include "report/paper.h"
#include "report/scale.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// What a browser shows of a page.
std::string visible(const std::string& page) {
  std::string text;
  bool tag = false;
  for (const char c : page.substr(page.find("<body>"))) {
    if (c == '<') tag = true;
    if (!tag) text += c;
    if (c == '>') tag = false;
  }
  return text;
}

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

std::vector<std::string> chart_labels(const std::string& page) {
  std::vector<std::string> labels;
  const std::string mark = "<svg role=\"img\" aria-label=\"";
  for (size_t at = page.find(mark); at != std::string::npos; at = page.find(mark, at + 1))
    labels.push_back(page.substr(at + mark.size(), page.find('"', at + mark.size()) - at - mark.size()));
  EXPECT_EQ(labels.size(), count(page, "<svg"));
  EXPECT_EQ(std::set(labels.begin(), labels.end()).size(), labels.size()) << "distinct";
  return labels;
}

class Report : public ::testing::Test {
 protected:
  // A run as dept train leaves it, without the files that no page reads.
  fs::path run(const std::string& name, const OrderedJson& options, double accuracy, bool ended = true) const {
    const fs::path folder = scratch_ / name;
    fs::create_directories(folder);
    OrderedJson all = {{"task_name", "sst2"}, {"model_name_or_path", "t5-base"}, {"learning_rate", 0.3}, {"seed", 1}};
    if (!options.is_null()) all.update(options);
    write(folder / "run.json", {{"command", "dept train --labels '<b>' x --output_dir " + name}, {"options", all}});
    if (!ended) return folder;
    write(folder / "all_results.json", {{"train_runtime", 12.5},
                                        {"eval_accuracy", accuracy},
                                        {"eval_loss", 0.5},
                                        {"test_accuracy", accuracy + 1},
                                        {"test_samples", 4}});
    OrderedJson log = OrderedJson::array();
    for (int step = 10; step <= 40; step += 10) {
      log.push_back({{"step", step}, {"loss", 1.0}, {"loss_exact", 10.0 / step}});
      log.push_back({{"step", step}, {"eval_loss", 8.0 / step}, {"eval_accuracy", accuracy - 10.0 / step}, {"eval_runtime", 3}});
    }
    write(folder / "trainer_state.json", {{"log_history", log}});
    const OrderedJson figures = {{"precision", 0.5}, {"recall", 1.0}, {"f1", 2.0 / 3}, {"support", 2}};
    write(folder / "evaluation.json",
          {{"split", "test"},
           {"examples", 4},
           {"labels", {"<b>", "x"}},
           {"classes", {{"<b>", figures}, {"x", figures}}},
           {"no_label", 1},
           {"confusion_matrix", {{17, 0}, {23, 1}}},
           {"worst", {{{"index", 3}, {"source", "<script>alert(1)</script> & \"q\""}, {"target", "x"}, {"prediction", "y"}}}}});
    write(folder / "report.json",
          {{"parameters", 1234},
           {"peak_memory_bytes", 2500000000},
           {"prompt", {{{"vector", "0"}, {"norm", 1.5}, {"nearest", {{{"word", "film"}, {"cosine", 0.75}}}}}}},
           {"delta_norms", {0.0, 0.5, 1.0}}});
    return folder;
  }
  static void write(const fs::path& path, const OrderedJson& json) { write_atomic(path, json.dump() + "\n"); }

  fs::path sweep(const std::vector<OrderedJson>& lines, const OrderedJson& options) const {
    const fs::path folder = scratch_ / "sweep";
    std::string text;
    for (const OrderedJson& line : lines) {
      run("sweep/runs/" + line["name"].get<std::string>(), {}, line["eval_accuracy"].get<double>());
      text += line.dump() + "\n";
    }
    write(folder / "sweep.json", {{"command", "dept sweep s.yaml"}, {"options", options}});
    write_atomic(folder / "results.jsonl", text);
    return folder;
  }

  const Scratch scratch_;
};

TEST_F(Report, OfARunSaysItsResultFirst) {
  const std::string page = report_page({run("a", {}, 85.5)});
  EXPECT_THAT(visible(page).substr(0, 1500), HasSubstr("test accuracy 86.5"));
  EXPECT_THAT(visible(page).substr(0, 1500), HasSubstr("94.2")) << "the paper's";
  EXPECT_THAT(chart_labels(page), ElementsAre("loss over steps", "accuracy (validation) over steps",
                                              "norm of A\xC2\xB7"
                                              "B by row"));
  EXPECT_THAT(page, HasSubstr("dept train --labels &#39;&lt;b&gt;&#39; x --output_dir a"));
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;q&quot;"));
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, HasSubstr("2.50 GB"));
  EXPECT_THAT(page, HasSubstr("1,234"));
  EXPECT_THAT(page, HasSubstr("film"));
  const size_t matrix = page.find("<table class=\"confusion-matrix\">");
  ASSERT_NE(matrix, std::string::npos);
  const std::string table = page.substr(matrix, page.find("</table>", matrix) - matrix);
  EXPECT_EQ(count(table, "<td"), 4u);
  for (const char* cell : {">17</td>", ">0</td>", ">23</td>", ">1</td>"}) EXPECT_EQ(count(table, cell), 1u) << cell;
}

TEST_F(Report, IsAFunctionOfTheFolder) {
  const fs::path folder = run("a", {}, 85.5);
  const std::string page = report_page({folder});
  EXPECT_EQ(report_page({folder / ""}), page);
  EXPECT_EQ(report_page({folder / ".." / "a"}), page);
  write_report(folder);
  EXPECT_EQ(read_file(folder / "report.html"), page);
  EXPECT_EQ(report_page({folder}), page) << "the page itself is no part of it";
}

TEST_F(Report, OfARunThatHasNotEnded) {
  const std::string page = report_page({run("a", {}, 0, false)});
  EXPECT_THAT(visible(page), HasSubstr("no results yet"));
  EXPECT_EQ(chart_labels(page).size(), 0u);
}

TEST_F(Report, OfSeedsShowsMeanAndDeviation) {
  const std::string page = report_page({run("a", {{"seed", 1}}, 80), run("b", {{"seed", 2}}, 84)});
  EXPECT_THAT(chart_labels(page),
              ElementsAre("accuracy (validation) and its spread over seed, 2 runs", "training loss over steps",
                          "validation loss over steps", "accuracy (validation) over steps",
                          "norm of A\xC2\xB7"
                          "B by row, 2 runs: b"));
  EXPECT_THAT(visible(page), HasSubstr("82.00 \xC2\xB1 2.83"));
  EXPECT_THAT(visible(page).substr(0, 1500), HasSubstr("best accuracy (validation) 84.00, test accuracy 85.0 with seed 2"));
  EXPECT_THAT(page, HasSubstr("94.2 (T5-base"));
}

TEST_F(Report, OfSeveralOptionsDrawsParallelCoordinates) {
  std::vector<fs::path> folders;
  for (int i = 0; i < 4; ++i)
    folders.push_back(run(str("r", i), {{"learning_rate", 0.1 * (i + 1)}, {"r", i % 2}, {"prefix_length", 10 + i / 2}}, 80 + i));
  EXPECT_THAT(chart_labels(report_page(folders)),
              ::testing::Contains("accuracy (validation) by learning_rate, r, prefix_length, 4 runs"));
}

TEST_F(Report, OfASweepDrawsAHeatMapOfTwoAxes) {
  std::vector<OrderedJson> lines;
  for (const double rate : {0.3, 0.4})
    for (const double delta_rate : {1e-4, 1e-2})
      for (const int seed : {1, 2}) {
        const bool best = rate == 0.4 && delta_rate == 1e-2 && seed == 2;
        lines.push_back({{"name", str(rate, "_", delta_rate, "_", seed)},
                         {"learning_rate", rate},
                         {"lora_embedding_lr", delta_rate},
                         {"seed", seed},
                         {"steps", 40},
                         {"end", "finished"},
                         {"eval_accuracy", 80 + rate * 10 + delta_rate + seed},
                         {"stack", 1},
                         {"best", best},
                         {"seconds", 1.5}});
        if (best) lines.back()["test_accuracy"] = 91.25;
      }
  const OrderedJson options = {{"sweep.metric", "accuracy"},          {"sweep.goal", nullptr},
                               {"sweep.parameters.learning_rate", 1}, {"sweep.parameters.lora_embedding_lr", 1},
                               {"sweep.parameters.seed", 1},          {"sweep.repeat", {"seed"}}};
  const std::string page = report_page({sweep(lines, options)});
  EXPECT_THAT(chart_labels(page), ::testing::Contains("accuracy (validation) by learning_rate and lora_embedding_lr, sweep"));
  EXPECT_THAT(visible(page).substr(0, 1500), HasSubstr("test accuracy 91.2"));
  EXPECT_THAT(visible(page), HasSubstr("dept sweep s.yaml"));
  EXPECT_THAT(page, HasSubstr(">85.5</text>")) << "a cell is the mean over seeds";
  EXPECT_THAT(visible(page), HasSubstr("1e-4")) << "as people type it";
}

TEST_F(Report, EachTaskOfASweepIsOneOfItsOwn) {
  std::vector<OrderedJson> lines;
  for (const char* task : {"cola", "mrpc"})
    for (const double rate : {0.3, 0.4})
      lines.push_back({{"name", str(task, rate)},
                       {"task_name", task},
                       {"learning_rate", rate},
                       {"steps", 4},
                       {"end", "finished"},
                       {"eval_accuracy", rate * 100},
                       {"best", rate == 0.4}});
  const std::string page =
      report_page({sweep(lines, {{"sweep.parameters.task_name", 1}, {"sweep.parameters.learning_rate", 1}})});
  const std::vector<std::string> labels = chart_labels(page);
  EXPECT_THAT(labels, ::testing::Contains("accuracy (validation) by learning_rate, cola"));
  EXPECT_THAT(labels, ::testing::Contains("accuracy (validation) by learning_rate, mrpc"));
  EXPECT_EQ(count(visible(page), "best accuracy (validation) 40.00"), 2u) << "a line for each";
}

TEST_F(Report, TheOptionThatVariesIsNamedBesideOthersThatDoNot) {
  std::vector<OrderedJson> lines;
  for (const double rate : {0.3, 0.4})
    lines.push_back({{"name", str("r", rate)}, {"r", 2}, {"learning_rate", rate}, {"eval_accuracy", 100 * rate}});
  const std::string page = report_page({sweep(lines, {{"sweep.parameters.r", 1}, {"sweep.parameters.learning_rate", 1}})});
  EXPECT_THAT(chart_labels(page), ::testing::Contains("accuracy (validation) by learning_rate, sweep"));
  EXPECT_THAT(page, HasSubstr("<title>0.3: 30</title>"));
}

TEST_F(Report, OfTheSameRunTwice) {
  const std::string page = report_page({run("a", {}, 80), run("b", {}, 84)});
  EXPECT_THAT(chart_labels(page), ::testing::Contains("accuracy (validation) and its spread over runs, 2 runs"));
  EXPECT_THAT(visible(page), HasSubstr("Mean and deviation over runs"));
  EXPECT_THAT(visible(page), HasSubstr("best accuracy (validation) 84.00, test accuracy 85.0 (the paper"))
      << "with no option to name";
}

TEST_F(Report, NamesFilesThatAreNotAsTheyWereLeft) {
  const auto message = [&](const fs::path& folder, Code code) {
    try {
      report_page({folder});
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code);
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_THAT(message(scratch_ / "nowhere", Code::io), HasSubstr("nowhere"));
  EXPECT_THAT(message(scratch_ / "", Code::bad_input), HasSubstr("run.json"));
  const fs::path folder = run("a", {}, 80);
  for (const char* name : {"all_results.json", "evaluation.json", "trainer_state.json", "report.json", "run.json"}) {
    const std::string whole = read_file(folder / name);
    for (const char* broken : {"", "[1]", "{\"a\": "}) {
      write_atomic(folder / name, broken);
      EXPECT_THAT(message(folder, Code::bad_input), HasSubstr(name)) << broken;
    }
    write_atomic(folder / name, whole);
  }
  write(folder / "trainer_state.json", {{"log_history", 5}});
  EXPECT_THAT(message(folder, Code::bad_input), HasSubstr("log_history"));
  // What lies deeper and is of another kind is not shown.
  write(folder / "trainer_state.json", {{"log_history", {1, {{"step", "x"}}, {{"step", 1}, {"loss", nullptr}}}}});
  write(folder / "evaluation.json", {{"classes", {{"a", 1}}},
                                     {"confusion_matrix", {1}},
                                     {"labels", {"a"}},
                                     {"worst", {1}},
                                     {"calibration", {{"bins", 3}}},
                                     {"by_length", {1}}});
  write(folder / "report.json", {{"prompt", {1, {{"nearest", 2}}}}, {"delta_norms", {"x"}}});
  EXPECT_EQ(message(folder, Code::bug), "");
}

TEST_F(Report, StaysBelowTwoMegabytes) {
  const fs::path folder = run("a", {}, 80);
  OrderedJson evaluation = read_json(folder / "evaluation.json");
  const std::string quotes(100'000, '"');
  evaluation["worst"] = OrderedJson::array();
  for (int i = 0; i < 50; ++i)
    evaluation["worst"].push_back({{"index", i}, {"source", quotes}, {"target", quotes}, {"prediction", quotes}});
  evaluation["labels"] = OrderedJson::array();
  evaluation["classes"] = OrderedJson::object();
  for (int i = 0; i < 2000; ++i) evaluation["labels"].push_back(str("label ", i)), evaluation["classes"][str("label ", i)] = {};
  write(folder / "evaluation.json", evaluation);
  OrderedJson findings = {{"delta_norms", std::vector<double>(100'000, 1.5)}};
  for (int i = 0; i < 5000; ++i)
    findings["prompt"].push_back(
        {{"vector", quotes.substr(0, 9)}, {"nearest", {{{"word", quotes.substr(0, 999)}, {"cosine", 1}}}}});
  write(folder / "report.json", findings);
  EXPECT_LT(report_page({folder}).size(), 2'000'000u);
}

TEST(Charts, FiguresThatAreNotFiniteAreLeftOut) {
  const double inf = HUGE_VAL;
  for (const Curve& points : {Curve{}, Curve{{1, inf}}, Curve{{1, NAN}, {2, 1}}, Curve{{1, 1e308}, {2, -1e308}}, Curve{{5, 0}}}) {
    const std::string chart = line_chart({"label", "x", "y", {{"run", points}}});
    EXPECT_THAT(chart, Not(HasSubstr("nan")));
    EXPECT_THAT(chart, Not(HasSubstr("inf")));
  }
}

TEST(Scale, TicksAreRoundAndWithin) {
  const auto texts = [](const Scale& scale) {
    std::vector<std::string> found;
    for (const Tick& tick : scale.ticks(4)) found.push_back(tick.text);
    return found;
  };
  EXPECT_THAT(texts(Scale({0, 300})), ElementsAre("0", "100", "200", "300"));
  EXPECT_THAT(texts(Scale({1e-4, 0.5}, 20)), ElementsAre("0.0001", "0.001", "0.01", "0.1"));
  EXPECT_DOUBLE_EQ(Scale({1, 100}, 20).place(10), 0.5);
  EXPECT_DOUBLE_EQ(Scale({1, 101}).place(51), 0.5);
  EXPECT_DOUBLE_EQ(Scale({7, 7}).place(7), 0.5);
  EXPECT_THAT(texts(Scale({68.56796305659037, 68.56796305659039})), ElementsAre("65", "70", "75"));  // apart by rounding
  EXPECT_DOUBLE_EQ(Scale(std::vector<double>{}).place(0.25), 0.25);
}

TEST(Paper, FiguresAreThoseOfThePage) {
  const std::string page = read_file(DEPT_TEST_DATA "/../docs/tasks.md");
  ASSERT_EQ(paper_figures().size(), 21u);
  for (const PaperFigure& figure : paper_figures())
    EXPECT_THAT(page, HasSubstr(str("| ", figure.task, " | ", figure.metric, " | ", html::fixed(figure.value, 1), " | ",
                                    figure.setting, " |")));
}

TEST(ShellLine, QuotesWhatAShellWouldTakeApart) {
  EXPECT_EQ(shell_line({"--labels", " no", "it's", "", "a=b", "$x"}), "--labels ' no' 'it'\\''s' '' a=b '$x'");
}

}  // namespace
}  // namespace dept
