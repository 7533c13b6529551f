#include "dept/metrics.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <string_view>
#include <unordered_map>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/tasks/caption_metrics.h"
#include "dept/tasks/vqa_metric.h"
#include "tasks/answer_text.h"
#include "tasks/ratio.h"

namespace dept {
namespace {

using Strings = std::span<const std::string>;

struct Pairs {
  Strings predictions, targets;
  const std::vector<std::string>& labels;
  const MetricExtras& extras;
  size_t size() const { return predictions.size(); }
};

template <class Equal>
double share(const Pairs& pairs, Equal equal) {
  double hits = 0;
  for (size_t i = 0; i < pairs.size(); ++i) hits += equal(pairs.predictions[i], pairs.targets[i]);
  return hits / static_cast<double>(pairs.size());
}

double accuracy(const Pairs& pairs) {
  return share(pairs, std::equal_to<std::string>());
}

double exact_match(const Pairs& pairs) {
  return share(pairs, [](std::string_view a, std::string_view b) { return strip(a) == strip(b); });
}

// Of one question: best(prediction's normal form, an accepted answer's) over its answers, averaged over all questions.
template <class Score>
double over_answers(const Pairs& pairs, Score score) {
  double sum = 0;
  for (size_t i = 0; i < pairs.size(); ++i) {
    const std::string prediction = normalise_answer(pairs.predictions[i]);
    const bool several = !pairs.extras.answers.empty() && !pairs.extras.answers[i].empty();
    double best = 0;
    for (const std::string& answer : several ? Strings(pairs.extras.answers[i]) : pairs.targets.subspan(i, 1))
      best = std::max(best, score(prediction, normalise_answer(answer)));
    sum += best;
  }
  return sum / static_cast<double>(pairs.size());
}

// Harmonic mean of precision and recall over words, each counted as often as it stands.
double word_f1(const std::string& prediction, const std::string& answer) {
  const std::vector<std::string_view> predicted = split_words(prediction), expected = split_words(answer);
  std::unordered_map<std::string_view, int64_t> left;
  for (const std::string_view word : expected) ++left[word];
  double common = 0;
  for (const std::string_view word : predicted) common += left[word]-- > 0;
  return ratio(2 * common, static_cast<double>(predicted.size() + expected.size()));
}

// Share of the groups in which every prediction equals its target.
double group_em(const Pairs& pairs) {
  if (pairs.extras.groups.size() != pairs.size()) fail(Code::usage, "em", "the group of each labelled answer", "none");
  std::unordered_map<std::string_view, bool> right;
  for (size_t i = 0; i < pairs.size(); ++i)
    right.try_emplace(pairs.extras.groups[i], true).first->second &= pairs.predictions[i] == pairs.targets[i];
  return std::count_if(right.begin(), right.end(), [](const auto& group) { return group.second; }) /
         static_cast<double>(right.size());
}

double em(const Pairs& pairs) {
  if (!pairs.labels.empty()) return group_em(pairs);
  return over_answers(pairs,
                      [](const std::string& prediction, const std::string& answer) { return prediction == answer ? 1.0 : 0.0; });
}

double f1(const Pairs& pairs) {
  if (pairs.labels.empty()) return over_answers(pairs, word_f1);
  if (pairs.labels.size() != 2) fail(Code::usage, "f1", "two labels (more: f1_macro)", str(pairs.labels.size()));
  const std::string &negative = pairs.labels[0], &positive = pairs.labels[1];
  double hits = 0, predicted = 0, actual = 0;
  for (size_t i = 0; i < pairs.size(); ++i) {
    const bool target = pairs.targets[i] == positive;
    const bool valid = pairs.predictions[i] == positive || pairs.predictions[i] == negative;
    const bool prediction = valid ? pairs.predictions[i] == positive : !target;
    hits += prediction && target;
    predicted += prediction;
    actual += target;
  }
  return ratio(2 * hits, predicted + actual);
}

// How often each class was the target, the prediction, and both.
struct ClassCounts {
  double target = 0, prediction = 0, both = 0;
};

std::vector<ClassCounts> count_classes(const Pairs& pairs) {
  std::unordered_map<std::string_view, size_t> index;
  std::vector<ClassCounts> counts;
  const auto of = [&](std::string_view name) -> ClassCounts& {
    const auto [found, added] = index.try_emplace(name, counts.size());
    if (added) counts.emplace_back();
    return counts[found->second];
  };
  for (size_t i = 0; i < pairs.size(); ++i) {
    of(pairs.targets[i]).target += 1;
    of(pairs.predictions[i]).prediction += 1;
    if (pairs.predictions[i] == pairs.targets[i]) of(pairs.targets[i]).both += 1;
  }
  return counts;
}

double f1_macro(const Pairs& pairs) {
  const std::vector<ClassCounts> counts = count_classes(pairs);
  double sum = 0;
  for (const ClassCounts& one : counts) sum += ratio(2 * one.both, one.target + one.prediction);
  return sum / static_cast<double>(counts.size());
}

double f1_multiclass(const Pairs& pairs) {
  if (pairs.labels.empty()) fail(Code::usage, "f1_multiclass", "labels", "none");
  double sum = 0;
  for (const std::string& label : pairs.labels) {
    double both = 0, either = 0;
    for (size_t i = 0; i < pairs.size(); ++i) {
      const bool predicted = pairs.predictions[i] == label, expected = pairs.targets[i] == label;
      both += predicted && expected;
      either += predicted + expected;
    }
    sum += ratio(2 * both, either);
  }
  return sum / static_cast<double>(pairs.labels.size());
}

// Gorodkin's R_K: the covariance of the two indicator matrices over the root of their variances.
double matthews(const Pairs& pairs) {
  const double n = static_cast<double>(pairs.size());
  double both = 0, products = 0, targets = 0, predictions = 0;
  for (const ClassCounts& one : count_classes(pairs)) {
    both += one.both;
    products += one.target * one.prediction;
    targets += one.target * one.target;
    predictions += one.prediction * one.prediction;
  }
  return ratio(both * n - products, std::sqrt((n * n - targets) * (n * n - predictions)));
}

std::vector<double> numbers(Strings strings) {
  std::vector<double> values;
  values.reserve(strings.size());
  for (const std::string& string : strings) {
    std::string_view text = strip(string);
    if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool good = error == std::errc() && end == text.data() + text.size() && std::isfinite(value);
    values.push_back(good ? value : -1.0);
  }
  return values;
}

double correlation(const std::vector<double>& x, const std::vector<double>& y) {
  const double n = static_cast<double>(x.size());
  const double mean_x = std::accumulate(x.begin(), x.end(), 0.0) / n, mean_y = std::accumulate(y.begin(), y.end(), 0.0) / n;
  double xy = 0, xx = 0, yy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mean_x) * (y[i] - mean_y);
    xx += (x[i] - mean_x) * (x[i] - mean_x);
    yy += (y[i] - mean_y) * (y[i] - mean_y);
  }
  return std::clamp(ratio(xy, std::sqrt(xx) * std::sqrt(yy)), -1.0, 1.0);
}

// Ranks from 1; equal values share the mean of theirs.
std::vector<double> ranks(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> out(values.size());
  for (size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    for (size_t i = begin; i < end; ++i) out[order[i]] = (static_cast<double>(begin + end) + 1) / 2;
  }
  return out;
}

bool constant(const std::vector<double>& values) {
  return std::adjacent_find(values.begin(), values.end(), std::not_equal_to<double>()) == values.end();
}

double pearson(const Pairs& pairs) {
  const std::vector<double> x = numbers(pairs.predictions), y = numbers(pairs.targets);
  return constant(x) || constant(y) ? 0 : correlation(x, y);
}

double spearman(const Pairs& pairs) {
  const std::vector<double> x = numbers(pairs.predictions), y = numbers(pairs.targets);
  return constant(x) || constant(y) ? 0 : correlation(ranks(x), ranks(y));
}

// score(predictions, all answers of each), where an example without several has its target.
template <class Score>
double of_people(const Pairs& pairs, Score score) {
  std::vector<std::vector<std::string>> answers = pairs.extras.answers;
  answers.resize(pairs.size());
  for (size_t i = 0; i < pairs.size(); ++i)
    if (answers[i].empty()) answers[i] = {pairs.targets[i]};
  return score(pairs.predictions, answers);
}

double mean_vqa_accuracy(Strings predictions, std::span<const std::vector<std::string>> answers) {
  double sum = 0;
  for (size_t i = 0; i < predictions.size(); ++i) sum += vqa_accuracy(predictions[i], answers[i]);
  return sum / static_cast<double>(predictions.size());
}

double vqa(const Pairs& pairs) {
  return of_people(pairs, mean_vqa_accuracy);
}

double cider(const Pairs& pairs) {
  return of_people(pairs, cider_of_captions) / 100;
}

double bleu_4(const Pairs& pairs) {
  return of_people(pairs, bleu_4_of_captions) / 100;
}

struct Metric {
  const char* name;
  double (*compute)(const Pairs&);
};

constexpr Metric metrics[] = {{"accuracy", accuracy},
                              {"exact_match", exact_match},
                              {"em", em},
                              {"f1", f1},
                              {"f1_macro", f1_macro},
                              {"f1_multiclass", f1_multiclass},
                              {"matthews_correlation", matthews},
                              {"pearson", pearson},
                              {"spearmanr", spearman},
                              {"vqa_accuracy", vqa},
                              {"cider_d", cider},
                              {"bleu_4", bleu_4}};

}  // namespace

const std::vector<std::string>& metric_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Metric& metric : metrics) all.push_back(metric.name);
    return all;
  }();
  return names;
}

double compute_metric(const std::string& name, Strings predictions, Strings targets, const std::vector<std::string>& labels,
                      const MetricExtras& extras) {
  const auto metric = std::find_if(std::begin(metrics), std::end(metrics), [&](const Metric& one) { return name == one.name; });
  if (metric == std::end(metrics)) fail(Code::usage, "metrics", str("one of ", join(metric_names(), ", ")), quote(name));
  if (predictions.size() != targets.size()) fail(Code::bug, name, str(targets.size(), " predictions"), str(predictions.size()));
  if (predictions.empty()) fail(Code::bad_input, name, "at least one prediction", "none");
  return 100 * metric->compute({predictions, targets, labels, extras});
}

}  // namespace dept
