#include "dept/tasks/detail.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <unordered_map>

#include "dept/base/text.h"
#include "tasks/answer_text.h"
#include "tasks/ratio.h"

namespace dept {
namespace {

constexpr size_t most_matrix_labels = 1000, most_worst = 50, calibration_bins = 10;

// Labels by their place; what is none has none.
class LabelPlaces {
 public:
  static constexpr size_t none = std::numeric_limits<size_t>::max();
  explicit LabelPlaces(std::span<const std::string> labels) {
    for (size_t i = 0; i < labels.size(); ++i) places_.emplace(labels[i], i);
  }
  size_t of(const std::string& text) const {
    const auto found = places_.find(text);
    return found == places_.end() ? none : found->second;
  }

 private:
  std::unordered_map<std::string_view, size_t> places_;
};

void add_classes(OrderedJson& json, const EvaluatedAnswers& evaluated, const LabelPlaces& places) {
  const size_t labels = evaluated.labels.size();
  std::vector<int64_t> targets(labels), predictions(labels), both(labels);
  int64_t equal = 0, no_label = 0;
  for (size_t i = 0; i < evaluated.targets.size(); ++i) {
    const size_t target = places.of(evaluated.targets[i]), prediction = places.of(evaluated.predictions[i]);
    equal += evaluated.targets[i] == evaluated.predictions[i];
    no_label += prediction == LabelPlaces::none;
    if (target != LabelPlaces::none) ++targets[target];
    if (prediction != LabelPlaces::none) ++predictions[prediction];
    if (target == prediction && target != LabelPlaces::none) ++both[target];
  }
  json["labels"] = evaluated.labels;
  json["accuracy"] = ratio(static_cast<double>(equal), static_cast<double>(evaluated.targets.size()));
  OrderedJson& classes = json["classes"] = OrderedJson::object();
  for (size_t i = 0; i < labels; ++i) {
    const double hits = static_cast<double>(both[i]), said = static_cast<double>(predictions[i]);
    const double expected = static_cast<double>(targets[i]);
    classes[evaluated.labels[i]] = {{"precision", ratio(hits, said)},
                                    {"recall", ratio(hits, expected)},
                                    {"f1", ratio(2 * hits, said + expected)},
                                    {"support", targets[i]}};
  }
  json["no_label"] = no_label;
}

std::vector<std::vector<int64_t>> confusion_matrix(const EvaluatedAnswers& evaluated, const LabelPlaces& places) {
  std::vector<std::vector<int64_t>> matrix(evaluated.labels.size(), std::vector<int64_t>(evaluated.labels.size()));
  for (size_t i = 0; i < evaluated.targets.size(); ++i) {
    const size_t target = places.of(evaluated.targets[i]), prediction = places.of(evaluated.predictions[i]);
    if (target != LabelPlaces::none && prediction != LabelPlaces::none) ++matrix[target][prediction];
  }
  return matrix;
}

OrderedJson calibration(const EvaluatedAnswers& evaluated) {
  struct Bin {
    int64_t examples = 0;
    double confidence = 0, right = 0;
  };
  std::array<Bin, calibration_bins> bins;
  const auto edge = [](size_t i) { return static_cast<double>(i) / calibration_bins; };
  for (size_t i = 0; i < evaluated.scores.size(); ++i) {
    const std::vector<double>& scores = evaluated.scores[i];
    const auto best = std::max_element(scores.begin(), scores.end());
    if (best == scores.end() || !(*best > 0)) continue;
    size_t at = 0;
    while (at + 1 < calibration_bins && *best > edge(at + 1)) ++at;
    ++bins[at].examples;
    bins[at].confidence += *best;
    bins[at].right += evaluated.labels[static_cast<size_t>(best - scores.begin())] == evaluated.targets[i];
  }
  double error = 0;
  OrderedJson list = OrderedJson::array();
  for (size_t i = 0; i < bins.size(); ++i) {
    const double examples = static_cast<double>(bins[i].examples);
    const double confidence = ratio(bins[i].confidence, examples), accuracy = ratio(bins[i].right, examples);
    error += examples * std::abs(confidence - accuracy);
    list.push_back({{"low", edge(i)},
                    {"high", edge(i + 1)},
                    {"examples", bins[i].examples},
                    {"confidence", confidence},
                    {"accuracy", accuracy}});
  }
  return {{"ece", ratio(error, static_cast<double>(evaluated.scores.size()))}, {"bins", list}};
}

// The smallest power of two that is not below.
int64_t power_above(int64_t count) {
  int64_t power = 1;
  while (power < count) power *= 2;
  return count == 0 ? 0 : power;
}

OrderedJson by_length(const EvaluatedAnswers& evaluated) {
  struct Group {
    std::vector<std::string> predictions, targets;
  };
  std::map<int64_t, Group> groups;  // by the most words
  for (size_t i = 0; i < evaluated.targets.size(); ++i) {
    Group& group = groups[power_above(std::ssize(split_words(evaluated.targets[i])))];
    group.predictions.push_back(evaluated.predictions[i]);
    group.targets.push_back(evaluated.targets[i]);
  }
  OrderedJson list = OrderedJson::array();
  for (const auto& [most, group] : groups) {
    const auto fraction = [&, &group = group](const char* name) {
      return compute_metric(name, group.predictions, group.targets, {}) / 100;
    };
    list.push_back({{"min", most < 2 ? most : most / 2 + 1},
                    {"max", most},
                    {"examples", group.targets.size()},
                    {"em", fraction("em")},
                    {"f1", fraction("f1")}});
  }
  return list;
}

double number_in(const std::string& text) {
  const std::string_view stripped = strip(text);
  double value = 0;
  const auto [end, error] = std::from_chars(stripped.data(), stripped.data() + stripped.size(), value);
  const bool whole = error == std::errc() && end == stripped.data() + stripped.size();
  return whole ? value : std::numeric_limits<double>::quiet_NaN();
}

// How good an answer is, to be sorted by; nothing for one that is not among the worst.
std::optional<double> goodness(const EvaluatedAnswers& evaluated, const LabelPlaces& places, size_t i) {
  const std::string &prediction = evaluated.predictions[i], &target = evaluated.targets[i];
  constexpr double worst = -std::numeric_limits<double>::infinity();
  if (!evaluated.scores.empty()) {
    const size_t place = places.of(target);
    const double score = place == LabelPlaces::none ? 0 : evaluated.scores[i][place];
    return std::isnan(score) ? worst : score;
  }
  if (evaluated.numeric) {
    const double distance = std::abs(number_in(prediction) - number_in(target));
    if (distance == 0) return std::nullopt;
    return std::isnan(distance) ? worst : -distance;
  }
  if (!evaluated.labels.empty()) return prediction == target ? std::nullopt : std::optional(0.0);
  const auto metric = [&](const char* name) {
    return compute_metric(name, evaluated.predictions.subspan(i, 1), evaluated.targets.subspan(i, 1), {});
  };
  return metric("em") > 0 ? std::nullopt : std::optional(metric("f1"));
}

OrderedJson worst(const EvaluatedAnswers& evaluated, const LabelPlaces& places) {
  std::vector<std::pair<double, size_t>> ranked;
  for (size_t i = 0; i < evaluated.targets.size(); ++i)
    if (const std::optional<double> good = goodness(evaluated, places, i)) ranked.emplace_back(*good, i);
  std::sort(ranked.begin(), ranked.end());
  if (ranked.size() > most_worst) ranked.resize(most_worst);
  OrderedJson list = OrderedJson::array();
  for (const auto& [good, i] : ranked)
    list.push_back({{"index", i},
                    {"source", cut_to(evaluated.texts[i].source, shown_source)},
                    {"target", evaluated.targets[i]},
                    {"prediction", evaluated.predictions[i]}});
  return list;
}

size_t code_points(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string padded(std::string text, size_t width, bool to_the_right) {
  const std::string blanks(width - std::min(width, code_points(text)), ' ');
  return to_the_right ? blanks + text : text + blanks;
}

std::string per_cent(double fraction) {
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), 100 * fraction, std::chars_format::fixed, 1).ptr;
  return {digits.data(), end};
}

}  // namespace

std::string cut_to(std::string_view text, size_t limit) {
  size_t end = 0;
  for (; end < text.size(); ++end)
    if ((text[end] & 0xC0) != 0x80 && limit-- == 0) break;
  return std::string(text.substr(0, end));
}

OrderedJson evaluation_detail(std::string_view split, const EvaluatedAnswers& evaluated) {
  OrderedJson json = {{"split", split}, {"examples", evaluated.targets.size()}};
  if (evaluated.predictions.empty()) return json;
  const LabelPlaces places(evaluated.labels);
  if (!evaluated.labels.empty()) {
    add_classes(json, evaluated, places);
    if (evaluated.labels.size() <= most_matrix_labels) json["confusion_matrix"] = confusion_matrix(evaluated, places);
    if (!evaluated.scores.empty()) json["calibration"] = calibration(evaluated);
  } else if (!evaluated.numeric) {
    json["by_length"] = by_length(evaluated);
  }
  json["worst"] = worst(evaluated, places);
  return json;
}

std::vector<std::string> class_table(const OrderedJson& detail) {
  constexpr size_t most_rows = 100, widest_name = 40, column = 10;
  if (!detail.contains("classes")) return {};
  size_t width = 5;
  std::vector<std::pair<std::string, const OrderedJson*>> rows;
  for (const auto& [label, figures] : detail["classes"].items()) {
    if (rows.size() == most_rows) break;
    rows.emplace_back(cut_to(label, widest_name), &figures);
    width = std::max(width, code_points(rows.back().first));
  }
  std::vector<std::string> lines = {padded("class", width, false)};
  for (const char* name : {"precision", "recall", "f1", "support"}) lines[0] += padded(name, column, true);
  for (const auto& [label, figures] : rows) {
    std::string line = padded(label, width, false);
    for (const char* name : {"precision", "recall", "f1"}) line += padded(per_cent((*figures)[name].get<double>()), column, true);
    lines.push_back(line + padded((*figures)["support"].dump(), column, true));
  }
  if (detail["classes"].size() > most_rows) lines.push_back(str("... of ", detail["classes"].size(), " classes"));
  if (const auto none = detail["no_label"].get<int64_t>(); none > 0) lines.push_back(str(none, " answers are no label"));
  return lines;
}

}  // namespace dept
