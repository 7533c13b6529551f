#include "report/page.h"

#include <algorithm>

#include "dept/base/text.h"
#include "dept/report/report.h"
#include "report/html.h"
#include "report/paper.h"

namespace dept {
namespace {

constexpr size_t most_bytes = 1'900'000;

// Parts one after another; what would make the page too large is left out, which the page says.
class Body {
 public:
  void add(const std::string& part) {
    if (text_.size() + part.size() > most_bytes)
      ++left_out_;
    else
      text_ += part;
  }
  std::string text() const {
    return left_out_ == 0 ? text_ : text_ + html::paragraph(str(left_out_, " further parts would make this page too large."));
  }

 private:
  std::string text_;
  size_t left_out_ = 0;
};

// Nothing is fetched: the policy says so to the browser, and the empty icon keeps it from asking for one.
std::string document(const std::string& title, const std::string& body) {
  return str(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>", html::escape(title),
      "</title>\n<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none';style-src 'unsafe-inline';img-src data:\">\n"
      "<link rel=\"icon\" href=\"data:,\">\n<style>",
      page_style(), "</style>\n</head>\n<body>\n", body, "</body>\n</html>\n");
}

std::string head(const std::string& title, const std::string& lead) {
  return str("<h1>", html::escape(title), "</h1>\n<p class=\"lead\">", html::escape(lead), "</p>\n");
}

// What stands in a run's heading.
std::string title_of(const ReportedRun& run) {
  return html::cut(run.task() == run.name ? run.name : str(run.task(), ": ", run.name), 200);
}

std::string lead_of(const Figures& results) {
  const std::string line = headline(results);
  return line.empty() ? "no results yet" : line;
}

void add_details(Body& body, const ReportedRun& run, const std::string& of, size_t most_worst) {
  body.add(by_class(run, of));
  body.add(prompt_findings(run, of));
  body.add(worst_examples(run, of, most_worst));
}

std::string run_page(const ReportedRun& run) {
  Body body;
  body.add(head(title_of(run), lead_of(run.results)));
  body.add(results_table(run));
  body.add(what_ran(run.command, &run));
  body.add(curves({&run}, nullptr, ""));
  add_details(body, run, "", 50);
  body.add(cost(run));
  return document(str(title_of(run), ": ", lead_of(run.results)), body.text());
}

// "sst2: test accuracy 94.0 by learning_rate 0.3, seed 1"
std::string best_line(const Comparison& comparison) {
  const ComparedRun* best = best_of(comparison);
  if (best == nullptr) return str(comparison.title, ": no best run yet");
  std::vector<std::string> values;
  for (size_t i = 0; i < comparison.axes.size(); ++i)
    values.push_back(str(comparison.axes[i], " ", html::cut(best->values[i], 60)));
  const double* chosen = find_figure(best->metrics, comparison.metric);
  const std::string by = chosen == nullptr ? "" : str("best ", metric_title(comparison.metric), " ", html::fixed(*chosen, 2));
  const std::string test = headline(best->metrics);
  std::string line = str(html::cut(comparison.title, 100), ": ", by, test.rfind("test", 0) == 0 ? ", " + test : "",
                         values.empty() ? "" : " with ", join(values, ", "));
  if (const PaperFigure* paper = paper_figure(best->run->option("task_name")))
    line += str(" (the paper's ", paper->metric, ": ", html::fixed(paper->value, 1), ")");
  return line;
}

// The runs' records under the names that they have here.
std::vector<ReportedRun> named_runs(const Comparison& comparison) {
  std::vector<ReportedRun> runs;
  for (const ComparedRun& run : comparison.runs) {
    runs.push_back(*run.run);
    runs.back().name = run.name;
  }
  return runs;
}

void add_comparison(Body& body, const Comparison& comparison, const std::string& of) {
  const std::vector<ReportedRun> named = named_runs(comparison);
  std::vector<const ReportedRun*> runs;
  for (const ReportedRun& run : named) runs.push_back(&run);
  const ComparedRun* best = best_of(comparison);
  body.add(comparison_charts(comparison));
  body.add(curves(runs, best == nullptr ? nullptr : runs[static_cast<size_t>(best - comparison.runs.data())], of));
  body.add(comparison_table(comparison));
}

// One part of a page on several things.
struct Subject {
  std::string command;  // of a sweep
  Comparison comparison;
};

void add_best(Body& body, const std::vector<Subject>& subjects) {
  const size_t most_worst = subjects.size() == 1 ? 50 : 10;
  for (const Subject& subject : subjects)
    if (const ComparedRun* best = best_of(subject.comparison))
      add_details(body, *best->run, str(", ", subject.comparison.title, ": ", best->name), most_worst);
}

// Titles tell charts apart.
void make_titles_differ(std::vector<Subject>& subjects) {
  for (size_t i = 1; i < subjects.size(); ++i) {
    const std::string title = subjects[i].comparison.title;
    const auto same = [&](const Subject& other) { return other.comparison.title == subjects[i].comparison.title; };
    const auto before = subjects.begin() + static_cast<std::ptrdiff_t>(i);
    for (int count = 2; std::any_of(subjects.begin(), before, same); ++count)
      subjects[i].comparison.title = str(title, " (", count, ")");
  }
}

std::string comparison_page(const std::string& title, std::vector<Subject> subjects) {
  make_titles_differ(subjects);
  Body body;
  std::vector<std::string> lines, commands;
  for (const Subject& subject : subjects) {
    lines.push_back(best_line(subject.comparison));
    const bool known = std::find(commands.begin(), commands.end(), subject.command) != commands.end();
    if (!subject.command.empty() && !known) commands.push_back(subject.command);
    for (const ComparedRun& run : subject.comparison.runs)
      if (subject.command.empty() && !run.run->command.empty()) commands.push_back(run.run->command);
  }
  body.add(head(title, lines.front()));
  for (size_t i = 1; i < lines.size(); ++i) body.add(html::paragraph(lines[i]));
  body.add(what_ran(join(commands, "\n"), nullptr));
  for (const Subject& subject : subjects)
    add_comparison(body, subject.comparison, subjects.size() == 1 ? "" : ", " + subject.comparison.title);
  add_best(body, subjects);
  return document(str(title, ": ", lines.front()), body.text());
}

std::string names_of(const std::vector<std::string>& names) {
  constexpr size_t most = 6;
  std::vector<std::string> some(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(std::min(names.size(), most)));
  return html::cut(join(some, ", ") + (names.size() > most ? str(" and ", names.size() - most, " more") : ""), 200);
}

}  // namespace

std::string report_page(const std::vector<fs::path>& folders) {
  std::vector<FolderKind> kinds;
  for (const fs::path& folder : folders) kinds.push_back(kind_of(folder));
  std::vector<ReportedRun> runs;
  std::vector<ReportedSweep> sweeps;
  std::vector<std::string> names;
  for (size_t i = 0; i < folders.size(); ++i) {
    if (kinds[i] == FolderKind::run) {
      runs.push_back(read_run(folders[i]));
      names.push_back(runs.back().name);
    } else {
      sweeps.push_back(read_sweep(folders[i]));
      names.push_back(sweeps.back().name);
    }
  }
  if (runs.size() == 1 && sweeps.empty()) return run_page(runs.front());
  std::vector<Subject> subjects;
  for (const ReportedSweep& sweep : sweeps) {
    for (Comparison& comparison : compare_sweep(sweep)) subjects.push_back({sweep.command, std::move(comparison)});
    if (sweep.lines.empty()) subjects.push_back({sweep.command, {sweep.name, {}, {}, {}, "", true}});
  }
  if (!runs.empty()) subjects.push_back({"", compare_runs(runs)});
  return comparison_page(names_of(names), std::move(subjects));
}

void write_report(const fs::path& folder) {
  write_atomic(folder / "report.html", report_page({folder}));
}

std::string shell_line(const std::vector<std::string>& words) {
  constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,+@%";
  std::vector<std::string> quoted;
  for (const std::string& word : words) {
    std::string text = word;
    if (word.empty() || word.find_first_not_of(plain) != std::string::npos) {
      text.assign(1, '\'');
      for (const char c : word) text += c == '\'' ? "'\\''" : std::string(1, c);
      text += '\'';
    }
    quoted.push_back(std::move(text));
  }
  return join(quoted, " ");
}

}  // namespace dept
