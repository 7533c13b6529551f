// evaluation.json and report.json as tables and charts.
#include <algorithm>
#include <cmath>

#include "dept/base/text.h"
#include "report/html.h"
#include "report/page.h"

namespace dept {
namespace {

constexpr size_t most_classes = 300, most_matrix = 150, most_text = 500;

// The figure of a mapping, 0 where there is none.
double figure_of(const OrderedJson& json, const char* key) {
  return json.is_object() && json.contains(key) && json[key].is_number() ? json[key].get<double>() : 0;
}

std::string text_of(const OrderedJson& json, const char* key) {
  return json.is_object() && json.contains(key) ? html::shown(json[key]) : "";
}

const OrderedJson& part_of(const OrderedJson& json, const char* key) {
  static const OrderedJson none;
  return json.is_object() && json.contains(key) ? json[key] : none;
}

std::string per_cent(double fraction) {
  return html::fixed(100 * fraction, 1);
}

std::string class_figures(const OrderedJson& classes) {
  html::Table table("figures", {"class", "precision", "recall", "F1", "support"});
  size_t rows = 0;
  for (const auto& [label, figures] : classes.items()) {
    if (++rows > most_classes) break;
    table.row({html::cut(label, 100), per_cent(figure_of(figures, "precision")), per_cent(figure_of(figures, "recall")),
               per_cent(figure_of(figures, "f1")), text_of(figures, "support")});
  }
  return table.text() + (classes.size() > most_classes
                             ? html::paragraph(str("The first ", most_classes, " of ", classes.size(), " classes."))
                             : "");
}

// Which of ten tints a count has in its row.
int tint(double count, double row) {
  return row > 0 ? static_cast<int>(std::clamp(std::ceil(9 * count / row), 0.0, 9.0)) : 0;
}

std::string matrix_row(const std::string& label, const OrderedJson& counts) {
  double sum = 0;
  for (const OrderedJson& count : counts) sum += count.is_number() ? count.get<double>() : 0;
  std::string row = str("<tr><th scope=\"row\">", html::escape(label), "</th>");
  for (const OrderedJson& count : counts) {
    const int shade = tint(count.is_number() ? count.get<double>() : 0, sum);
    row += str("<td", shade > 0 ? str(" class=s", shade) : "", ">", html::escape(html::shown(count)), "</td>");
  }
  return row + "</tr>\n";
}

std::string confusion_matrix(const OrderedJson& evaluation) {
  const OrderedJson &matrix = part_of(evaluation, "confusion_matrix"), &labels = part_of(evaluation, "labels");
  if (!matrix.is_array() || !labels.is_array() || matrix.size() != labels.size()) return "";
  if (labels.size() > most_matrix)
    return html::paragraph(str("The confusion matrix of ", labels.size(), " labels is in evaluation.json."));
  std::string head, rows;
  for (const OrderedJson& label : labels)
    head += str("<th scope=\"col\">", html::escape(html::cut(html::shown(label), 30)), "</th>");
  for (size_t i = 0; i < labels.size(); ++i)
    if (matrix[i].is_array()) rows += matrix_row(html::cut(html::shown(labels[i]), 60), matrix[i]);
  return str("<h3>Confusion matrix</h3>\n<p class=\"soft\">a row a target, a column an answer</p>\n",
             "<div class=\"scroll\"><table class=\"confusion-matrix\"><thead><tr><th scope=\"col\">target</th>", head,
             "</tr></thead><tbody>\n", rows, "</tbody></table></div>\n");
}

std::string calibration(const OrderedJson& found, const std::string& of) {
  if (!found.is_object()) return "";
  Reliability chart{str("calibration", of), {}};
  for (const OrderedJson& bin : part_of(found, "bins"))
    if (figure_of(bin, "examples") > 0)
      chart.bins.push_back({figure_of(bin, "confidence"), figure_of(bin, "accuracy"), std::lround(figure_of(bin, "examples"))});
  return str("<h3>How far scores can be believed</h3>\n",
             html::paragraph(str("Expected calibration error: ", html::fixed(100 * figure_of(found, "ece"), 1), " %.")),
             "<div class=\"charts\">", reliability_chart(chart), "</div>\n");
}

std::string by_length(const OrderedJson& groups) {
  if (!groups.is_array() || groups.empty()) return "";
  html::Table table("figures", {"words of the target", "examples", "exact match", "F1"});
  for (const OrderedJson& group : groups) {
    const std::string low = text_of(group, "min"), high = text_of(group, "max");
    table.row({low == high ? low : str(low, " to ", high), text_of(group, "examples"), per_cent(figure_of(group, "em")),
               per_cent(figure_of(group, "f1"))});
  }
  return "<h3>By length of the answer</h3>\n" + table.text();
}

std::string split_title(const OrderedJson& evaluation) {
  return str("the ", text_of(evaluation, "split"), " data, ", text_of(evaluation, "examples"), " examples");
}

std::vector<double> numbers_in(const OrderedJson& list) {
  std::vector<double> values;
  if (list.is_array())
    for (const OrderedJson& value : list) values.push_back(value.is_number() ? value.get<double>() : std::nan(""));
  return values;
}

// Means of neighbours, where there are more than a chart has room for.
BarChart bars_of(const std::vector<double>& norms, const std::string& of) {
  constexpr size_t most = 256;
  const size_t each = (norms.size() + most - 1) / most;
  BarChart chart{str("norm of A\xC2\xB7"
                     "B by row",
                     of),
                 "row",
                 "norm",
                 {},
                 {}};
  for (size_t first = 0; first < norms.size(); first += each) {
    const size_t end = std::min(first + each, norms.size());
    chart.values.push_back(
        mean({norms.begin() + static_cast<std::ptrdiff_t>(first), norms.begin() + static_cast<std::ptrdiff_t>(end)}));
    chart.names.push_back(str("row ", first, each > 1 ? str(" to ", end - 1) : "", ": ", html::number(chart.values.back())));
  }
  if (each > 1) chart.x = str("row / ", each);
  return chart;
}

std::string words_table(const OrderedJson& prompt) {
  constexpr size_t most = 300;
  html::Table table("cards", {"prompt vector", "nearest words", "cosine", "norm"});
  size_t rows = 0;
  for (const OrderedJson& vector : prompt) {
    if (++rows > most) break;
    std::vector<std::string> words;
    double nearest = 0;
    for (const OrderedJson& word : part_of(vector, "nearest")) {
      if (words.empty()) nearest = figure_of(word, "cosine");
      words.push_back(html::cut(text_of(word, "word"), 30));
    }
    table.row({text_of(vector, "vector"), join(words, "  "), html::fixed(nearest, 2), html::number(figure_of(vector, "norm"))});
  }
  return table.text() +
         (prompt.size() > most ? html::paragraph(str("The first ", most, " of ", prompt.size(), " vectors.")) : "");
}

}  // namespace

std::string by_class(const ReportedRun& run, const std::string& of) {
  const OrderedJson& evaluation = run.evaluation;
  std::string body;
  if (const OrderedJson& classes = part_of(evaluation, "classes"); classes.is_object()) {
    body += class_figures(classes);
    if (figure_of(evaluation, "no_label") > 0)
      body += html::paragraph(str(text_of(evaluation, "no_label"), " answers are no label."));
    body += confusion_matrix(evaluation);
    body += calibration(part_of(evaluation, "calibration"), of);
  }
  body += by_length(part_of(evaluation, "by_length"));
  if (body.empty()) return "";
  return html::section(str(evaluation.contains("classes") ? "By class" : "In detail", of),
                       html::paragraph("Of " + split_title(evaluation) + ", per cent.") + body);
}

std::string worst_examples(const ReportedRun& run, const std::string& of, size_t most) {
  const OrderedJson& worst = part_of(run.evaluation, "worst");
  if (!worst.is_array() || worst.empty()) return "";
  html::Table table("cards", {"row", "source", "target", "answer"});
  size_t rows = 0;
  for (const OrderedJson& one : worst) {
    if (++rows > most) break;
    table.row({text_of(one, "index"), html::cut(text_of(one, "source"), most_text), html::cut(text_of(one, "target"), most_text),
               html::cut(text_of(one, "prediction"), most_text)});
  }
  return html::section("Worst examples" + of,
                       html::paragraph("Of " + split_title(run.evaluation) + ", the worst first.") + table.text());
}

std::string prompt_findings(const ReportedRun& run, const std::string& of) {
  std::string body;
  if (const OrderedJson& prompt = part_of(run.findings, "prompt"); prompt.is_array() && !prompt.empty())
    body += html::paragraph("The vocabulary's words whose embeddings point most nearly where a prompt vector does.") +
            words_table(prompt);
  if (const std::vector<double> norms = numbers_in(part_of(run.findings, "delta_norms")); !norms.empty())
    body += str("<div class=\"charts\">", bar_chart(bars_of(norms, of)), "</div>\n");
  return body.empty() ? "" : html::section(str("What was learnt", of), body);
}

}  // namespace dept
