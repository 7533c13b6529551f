#include "dept/train/evaluate.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/softmax.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/progress.h"
#include "dept/base/rounding.h"
#include "dept/base/text.h"
#include "dept/dist/ranks.h"

namespace dept {
namespace {

void add_end(GenerationOptions& generation, int64_t id) {
  if (std::find(generation.eos_ids.begin(), generation.eos_ids.end(), id) == generation.eos_ids.end())
    generation.eos_ids.push_back(id);
}

GenerationOptions generation_options(const EvaluationOptions& options, const AdaptedModel& model) {
  GenerationOptions generation;
  // transformers counts the decoder's start token in max_length.
  const int64_t start = model.rules().encoder_decoder() ? 1 : 0;
  generation.max_new_tokens = options.max_new_tokens.value_or(std::max<int64_t>(1, options.generation_max_length - start));
  generation.eos_ids = model.backbone().info().eos_ids;
  generation.num_beams = options.generation_num_beams;
  if (model.rules().quirks.ends_and_ranks_as_transformers_4()) {
    // Its generate() ends at the model's own end tokens, and its beams count the start token or the padded source.
    generation.listed_beams = model.rules().encoder_decoder() ? 1 : model.rules().max_source;
    return generation;
  }
  if (model.rules().end_id) add_end(generation, *model.rules().end_id);
  if (model.rules().chat) end_at_turn(generation, model.tokenizer(), *model.rules().chat);
  return generation;
}

size_t label_index(const PredictRules& rules, const std::string& name) {
  const auto found = std::find(rules.labels.begin(), rules.labels.end(), name);
  if (found == rules.labels.end()) fail(Code::bad_input, "evaluation", "a known label", quote(name));
  return found - rules.labels.begin();
}

// The label that an answer names, or the answer.
std::string shown_answer(const AdaptedModel& model, const TaskData& task, const std::string& answer) {
  if (!task.cleans_up) return task.label_of(answer);
  return task.label_of(strip_unicode(model.tokenizer().cleans_up ? clean_up_spaces(answer) : answer));
}

// Targets as predictions are to be compared with them; free text of a named task is what its ids
// say.
std::string target_text(const AdaptedModel& model, const TaskData& task, const TextExample& text, const Example& example) {
  const bool free = task.free_text() || task.numeric() || model.rules().quirks.evaluates_targets_by_their_ids();
  return task.cleans_up && !model.has_head() && free ? shown_answer(model, task, model.tokenizer().decode(example.target))
                                                     : task.label_of(text.target);
}

// The original's f1 counts every answer of a head as the second label, and the metrics behind it see its copy of them.
double metric_of(const std::string& name, const AdaptedModel& model, const Evaluation& result, const TaskData& task,
                 const MetricExtras& extras) {
  const bool blind = model.has_head() && model.rules().quirks.counts_every_answer_as_positive() && task.labels.size() == 2 &&
                     std::find(task.metrics.begin(), task.metrics.end(), "f1") != task.metrics.end();
  if (!blind) return compute_metric(name, result.predictions, result.targets, task.labels, extras);
  const std::vector<std::string> seconds(result.predictions.size(), task.labels[1]);
  return compute_metric(name, seconds, result.targets, task.labels, extras);
}

MetricExtras extras_of(std::span<const TextExample> texts) {
  MetricExtras extras;
  const bool grouped = std::all_of(texts.begin(), texts.end(), [](const TextExample& text) { return !text.group.empty(); });
  for (const TextExample& text : texts)
    if (grouped) extras.groups.push_back(text.group);
  const bool people = std::any_of(texts.begin(), texts.end(), [](const TextExample& text) { return !text.answers.empty(); });
  for (const TextExample& text : texts)
    if (people) extras.answers.push_back(text.answers);
  return extras;
}

std::vector<Prediction> generate_batch(const AdaptedModel& model, const PredictRules& rules, const TaskData& task,
                                       std::span<const Example> batch) {
  std::vector<Prediction> predictions;
  for (const std::string& answer : model.answers(batch, rules.generation))
    predictions.push_back({shown_answer(model, task, answer), {}});
  return predictions;
}

double mean_gold_loss(const PredictRules& rules, std::span<const LabelNll> scored, std::span<const std::string> targets) {
  double nll = 0;
  int64_t tokens = 0;
  for (size_t i = 0; i < scored.size(); ++i) {
    const size_t label = label_index(rules, targets[i]);
    nll += scored[i].nll[label];
    tokens += scored[i].tokens[label];
  }
  return nll / static_cast<double>(tokens);
}

// The examples once for each of K stacked adapters.
std::vector<Example> for_each_adapter(const AdaptedModel& model, std::span<const Example> examples) {
  std::vector<Example> all;
  for (int64_t k = 0; k < model.weights().configs(); ++k) all.insert(all.end(), examples.begin(), examples.end());
  return all;
}

// Of each stacked adapter.
std::vector<double> mean_batch_losses(const AdaptedModel& model, std::span<const Example> examples) {
  const int64_t configs = model.weights().configs();
  const BatchLoss loss = model.loss({}, collate(model.rules(), for_each_adapter(model, examples), Purpose::evaluating, configs));
  std::vector<double> means;
  for (int64_t k = 0; k < configs; ++k) means.push_back(loss.nll[k].item<double>() / loss.tokens[k].item<double>());
  return means;
}

// A label for a message, not too long.
std::string shown(const std::string& label) {
  return quote(label, 40);
}

// Labels that the model's own ids for them, cut to the longest answer, are not read back as.
void warn_of_unreachable_labels(const PredictRules& rules, const AdaptedModel& model, const TaskData& task) {
  constexpr size_t most = 5;
  std::vector<std::string> unreachable;
  for (size_t i = 0; i < rules.label_ids.size(); ++i) {
    const Ids& ids = rules.label_ids[i];
    const Ids& ends = rules.generation.eos_ids;
    const auto end = std::find_first_of(ids.begin(), ids.end(), ends.begin(), ends.end());
    const auto written = std::min<size_t>(end - ids.begin(), static_cast<size_t>(rules.generation.max_new_tokens));
    const std::string answer = model.tokenizer().decode_written(std::span(ids).first(written));
    if (shown_answer(model, task, answer) == rules.labels[i]) continue;
    unreachable.push_back(ids.begin() + written < end
                              ? str(shown(rules.labels[i]), " (", ids.size(), " tokens, an answer has at most ", written, ")")
                              : str(shown(rules.labels[i]), " (its tokens are read back as ", shown(answer), ")"));
  }
  if (unreachable.empty()) return;
  const size_t count = unreachable.size();
  if (count > most) unreachable.resize(most);
  log::warn(str("no answer can reach ", count, " of ", rules.labels.size(), " labels: ", join(unreachable, ", "),
                count > most ? ", ..." : ""));
}

// What is found of some examples at once, by each stacked adapter in turn; empty what the rules do not ask for.
struct Evaluated {
  std::vector<Prediction> predictions;
  std::vector<LabelNll> scored;
  at::Tensor head_losses, head_weights;  // [examples] both
};

Evaluated evaluate_examples(const AdaptedModel& model, const PredictRules& rules, const TaskData& task,
                            std::span<const Example> once) {
  Evaluated evaluated;
  const std::vector<Example> examples = for_each_adapter(model, once);
  if (rules.by == PredictBy::head) {
    const Batch batch = collate(model.rules(), examples, Purpose::evaluating, model.weights().configs());
    const at::Tensor logits = model.head_logits(batch);
    evaluated.head_losses = head_loss(logits, batch.values, nullptr, model.parts().label_smoothing, model.parts().class_weights,
                                      model.backbone().context().kernels);
    evaluated.head_weights = example_weights(batch.values, model.parts().class_weights);
    evaluated.predictions = head_predictions(rules, logits);
  } else if (rules.by == PredictBy::score) {
    evaluated.scored = model.label_nll(examples, rules.label_ids);
    evaluated.predictions = score_predictions(rules, evaluated.scored);
  } else if (rules.by == PredictBy::generate) {
    evaluated.predictions = generate_batch(model, rules, task, examples);
  }
  return evaluated;
}

// The mean loss of `count` of these examples by each stacked adapter.
std::vector<double> batch_losses(const AdaptedModel& model, const PredictRules& rules, const Evaluated& evaluated,
                                 std::span<const Example> examples, std::span<const std::string> targets, size_t begin,
                                 size_t count) {
  const bool scored = rules.by == PredictBy::score && model.parts().label_smoothing == 0;
  if (rules.by != PredictBy::head && !scored) return mean_batch_losses(model, examples.subspan(begin, count));
  std::vector<double> losses;
  for (int64_t k = 0; k < model.weights().configs(); ++k) {
    const size_t first = static_cast<size_t>(k) * examples.size() + begin;
    if (scored) {
      losses.push_back(mean_gold_loss(rules, std::span(evaluated.scored).subspan(first, count), targets.subspan(begin, count)));
      continue;
    }
    const auto sum = [&](const at::Tensor& x) { return x.slice(0, first, first + count).sum().item<double>(); };
    const double weight = sum(evaluated.head_weights);
    losses.push_back(weight > 0 ? sum(evaluated.head_losses) / weight : 0);
  }
  return losses;
}

// body(first, count) for each batch of rows in order.
template <class Body>
void in_batches(size_t rows, size_t size, Body body) {
  for (size_t first = 0; first < rows; first += size) body(first, std::min(size, rows - first));
}

// Most tokens that an example's prediction writes.
int64_t written_tokens(const PredictRules& rules) {
  int64_t tokens = rules.by == PredictBy::generate ? written_tokens(rules.generation) : 0;
  if (rules.by == PredictBy::score)
    for (const Ids& label : rules.label_ids) tokens += static_cast<int64_t>(label.size());
  return tokens;
}

// body(first, examples) over this rank's examples in order, batches joined to full ones: predictions do not depend on their
// neighbours. `first` counts from the first of these, of which each runs for `adapters`.
template <class Body>
void in_joined_batches(std::span<const Example> examples, const PredictRules& rules, std::string_view title, int64_t adapters,
                       Body body) {
  Progress progress(std::string(title), static_cast<int64_t>(examples.size()));
  const int64_t written = written_tokens(rules);
  size_t first = 0;
  int64_t tokens = 0;
  in_batches(examples.size(), rules.batch_size, [&](size_t begin, size_t count) {
    for (const Example& example : examples.subspan(begin, count)) tokens += adapters * (example.read_tokens() + written);
    const size_t end = begin + count;
    if (tokens < full_batch_tokens && end < examples.size()) return;
    body(first, examples.subspan(first, end - first));
    progress.advance(static_cast<int64_t>(end - first));
    first = end;
    tokens = 0;
  });
}

// The examples that this rank evaluates, whole batches of them, so that the loss is that of one rank.
ItemRange share_of_batches(const PredictRules& rules, std::span<const Example> examples) {
  const size_t size = static_cast<size_t>(rules.batch_size);
  const int64_t written = written_tokens(rules);
  std::vector<int64_t> tokens;
  in_batches(examples.size(), size, [&](size_t begin, size_t count) {
    int64_t& sum = tokens.emplace_back(0);
    for (const Example& example : examples.subspan(begin, count)) sum += example.read_tokens() + written;
  });
  const ItemRange batches = share_in_order(tokens, rules.group);
  return {std::min(batches.begin * size, examples.size()), std::min(batches.end * size, examples.size())};
}

// What is found of examples in order; of several ranks each finds a part.
struct Found {
  std::vector<double> losses;  // by batch, times its examples
  std::vector<std::string> predictions;
  std::vector<std::vector<double>> scores;  // of each example, or none at all
  bool interrupted = false;
};

std::string packed(const Found& found) {
  const Json json = Json::array({found.losses, found.predictions, found.scores, found.interrupted});
  const std::vector<uint8_t> bytes = Json::to_msgpack(json);  // the numbers bit for bit
  return {bytes.begin(), bytes.end()};
}

// All ranks' parts as one.
Found gathered(Collective* group, const Found& mine) {
  if (group == nullptr) return mine;
  Found all;
  const auto append = [](auto& to, const Json& from) {
    for (const Json& each : from) to.push_back(each.get<typename std::decay_t<decltype(to)>::value_type>());
  };
  for (const std::string& bytes : gather(group, packed(mine))) {
    const Json part = Json::from_msgpack(bytes);
    append(all.losses, part[0]);
    append(all.predictions, part[1]);
    append(all.scores, part[2]);
    all.interrupted = all.interrupted || part[3].get<bool>();
  }
  return all;
}

// This rank's part, by each stacked adapter. Of several ranks an interrupt ends the part alone, as the others wait for it.
std::vector<Found> evaluate_share(const AdaptedModel& model, const PredictRules& rules, const TaskData& task,
                                  std::span<const Example> examples, std::span<const std::string> all_targets,
                                  std::string_view title, const Interrupt& interrupt) {
  const ItemRange mine = share_of_batches(rules, examples);
  std::vector<Found> found(static_cast<size_t>(model.weights().configs()));
  const auto run_batch = [&](size_t first, std::span<const Example> joined) {
    const std::span<const std::string> targets = all_targets.subspan(mine.begin + first, joined.size());
    Evaluated evaluated = evaluate_examples(model, rules, task, joined);
    in_batches(joined.size(), rules.batch_size, [&](size_t begin, size_t count) {
      const std::vector<double> losses = batch_losses(model, rules, evaluated, joined, targets, begin, count);
      for (size_t k = 0; k < found.size(); ++k) found[k].losses.push_back(losses[k] * static_cast<double>(count));
    });
    for (size_t i = 0; i < evaluated.predictions.size(); ++i) {
      Found& its = found[i / joined.size()];
      its.predictions.push_back(std::move(evaluated.predictions[i].text));
      if (!evaluated.predictions[i].scores.empty()) its.scores.push_back(std::move(evaluated.predictions[i].scores));
    }
    if (interrupt && interrupt()) throw Interrupted();
  };
  try {
    in_joined_batches(examples.subspan(mine.begin, mine.size()), rules, title, model.weights().configs(), run_batch);
  } catch (const Interrupted&) {
    if (rules.group == nullptr) throw;
    for (Found& its : found) its.interrupted = true;
  }
  return found;
}

}  // namespace

std::vector<Prediction> score_predictions(const PredictRules& rules, std::span<const LabelNll> scored) {
  std::vector<Prediction> predictions;
  for (const LabelNll& labels : scored) {
    const size_t best = std::min_element(labels.nll.begin(), labels.nll.end()) - labels.nll.begin();
    predictions.push_back({rules.labels[best], label_shares(labels.nll)});
  }
  return predictions;
}

std::vector<Prediction> head_predictions(const PredictRules& rules, const at::Tensor& logits) {
  std::vector<Prediction> predictions;
  for (int64_t i = 0; i < logits.size(0); ++i) {
    if (rules.labels.empty()) {
      predictions.push_back({Json(logits[i][0].item<double>()).dump(), {}});
      continue;
    }
    const at::Tensor shares = at::softmax(logits[i], 0);
    const double* share = shares.const_data_ptr<double>();
    predictions.push_back({rules.labels[shares.argmax().item<int64_t>()], {share, share + shares.numel()}});
  }
  return predictions;
}

void end_at_turn(GenerationOptions& generation, const Tokenizer& tokenizer, const ChatForm& form) {
  if (const auto end = tokenizer.token_to_id(form.end_token)) add_end(generation, *end);
}

void AnswerWatch::add(const std::string& answer) {
  if (count_++ == 0) first_ = answer;
  same_ = same_ && answer == first_;
}

std::string AnswerWatch::remark() const {
  if (count_ < 2 || !same_) return "";
  return first_.empty() ? str("all ", count_, " answers are empty") : str("all ", count_, " answers are ", quote(first_));
}

void point_out_one_answer(std::string_view title, const Evaluation& evaluation) {
  AnswerWatch watch;
  for (const std::string& answer : evaluation.predictions) watch.add(answer);
  const std::set<std::string_view> targets(evaluation.targets.begin(), evaluation.targets.end());
  const std::string remark = watch.remark();
  if (remark.empty() || (targets.size() == 1 && *targets.begin() == evaluation.predictions.front())) return;
  log::warn(str(title, ": ", remark, ", the targets are ", targets.size(), targets.size() == 1 ? " text" : " different ones"));
}

PredictRules predict_rules(const EvaluationOptions& options, const TaskData& task, const AdaptedModel& model, int threads) {
  PredictRules rules;
  rules.by = model.has_head()                ? PredictBy::head
             : options.predict_by == "score" ? PredictBy::score
             : options.predict_with_generate ? PredictBy::generate
                                             : PredictBy::nothing;
  rules.batch_size = options.per_device_eval_batch_size;
  rules.generation = generation_options(options, model);
  rules.labels = task.labels;
  if (rules.by == PredictBy::head) {
    // A head of the original may have more labels than the task, which names them by their numbers.
    for (int64_t i = static_cast<int64_t>(rules.labels.size()); !rules.labels.empty() && i < model.weights().head.labels(); ++i)
      rules.labels.push_back(str(i));
    return rules;
  }
  rules.label_ids = encode_targets(model.tokenizer(), model.rules(), task.label_words, threads);
  if (rules.by == PredictBy::score && rules.labels.empty())
    fail(Code::usage, "predict_by score", "a task with labels", "free text");
  for (size_t i = 0; i < rules.labels.size(); ++i)
    if (rules.label_ids[i].empty()) fail(Code::bad_input, "label_words", "words of at least one token", quote(rules.labels[i]));
  if (rules.by == PredictBy::generate && !task.numeric()) warn_of_unreachable_labels(rules, model, task);
  return rules;
}

std::vector<Prediction> predict(const AdaptedModel& model, const PredictRules& rules, const TaskData& task,
                                std::span<const Example> examples, bool with_scores) {
  const ItemRange mine = share_of_batches(rules, examples);
  const bool scores = rules.by == PredictBy::score || (with_scores && !rules.labels.empty());
  Found found;
  in_joined_batches(examples.subspan(mine.begin, mine.size()), rules, "predict", 1, [&](size_t, std::span<const Example> batch) {
    std::vector<Prediction> made;
    if (rules.by == PredictBy::head)
      made = head_predictions(rules, model.head_logits(collate(model.rules(), batch, Purpose::answering)));
    else if (scores)
      made = score_predictions(rules, model.label_nll(batch, rules.label_ids));
    if (rules.by == PredictBy::generate) {
      std::vector<Prediction> generated = generate_batch(model, rules, task, batch);
      for (size_t i = 0; i < made.size(); ++i) generated[i].scores = std::move(made[i].scores);
      made = std::move(generated);
    }
    for (Prediction& prediction : made) {
      found.predictions.push_back(std::move(prediction.text));
      found.scores.push_back(std::move(prediction.scores));
    }
  });
  found = gathered(rules.group, found);
  std::vector<Prediction> predictions;
  for (size_t i = 0; i < found.predictions.size(); ++i)
    predictions.push_back({std::move(found.predictions[i]), std::move(found.scores[i])});
  return predictions;
}

Evaluation evaluate(const AdaptedModel& model, const PredictRules& rules, const TaskData& task,
                    std::span<const TextExample> texts, std::span<const Example> examples, std::string_view title,
                    const Interrupt& interrupt) {
  Evaluation evaluation = std::move(evaluate_stack(model, rules, task, texts, examples, title, interrupt).front());
  if (is_first(rules.group)) point_out_one_answer(title, evaluation);
  return evaluation;
}

std::vector<Evaluation> evaluate_stack(const AdaptedModel& model, const PredictRules& rules, const TaskData& task,
                                       std::span<const TextExample> texts, std::span<const Example> examples,
                                       std::string_view title, const Interrupt& interrupt) {
  if (rules.drop_last) {
    const size_t size = static_cast<size_t>(rules.batch_size), whole = examples.size() / size * size;
    texts = texts.first(whole);
    examples = examples.first(whole);
  }
  std::vector<std::string> targets;
  for (size_t i = 0; i < texts.size(); ++i) targets.push_back(target_text(model, task, texts[i], examples[i]));
  std::vector<Evaluation> results;
  for (const Found& mine : evaluate_share(model, rules, task, examples, targets, title, interrupt)) {
    Found found = gathered(rules.group, mine);
    if (found.interrupted) throw Interrupted();
    Evaluation& result = results.emplace_back();
    result.targets = targets;
    result.predictions = std::move(found.predictions);
    result.scores = std::move(found.scores);
    const double loss_times_examples = std::accumulate(found.losses.begin(), found.losses.end(), 0.0);
    result.loss = examples.empty() ? 0 : loss_times_examples / static_cast<double>(examples.size());
    if (rules.by != PredictBy::nothing)
      for (const std::string& name : task.metrics)
        result.metrics.emplace_back(name, metric_of(name, model, result, task, extras_of(texts)));
  }
  return results;
}

EvaluatedAnswers evaluated_answers(const Evaluation& evaluation, const PredictRules& rules, const TaskData& task,
                                   std::span<const TextExample> texts) {
  EvaluatedAnswers evaluated{texts, evaluation.predictions, evaluation.targets, evaluation.scores, {}, task.numeric()};
  if (!task.free_text() && !task.numeric()) evaluated.labels = rules.labels;
  return evaluated;
}

OrderedJson evaluation_json(const Evaluation& evaluation, const std::string& prefix, double seconds, int64_t batch_size) {
  const auto examples = static_cast<double>(evaluation.targets.size());
  const double batches = std::ceil(examples / static_cast<double>(batch_size));
  OrderedJson json = {{prefix + "_loss", evaluation.loss}};
  for (const auto& [name, value] : evaluation.metrics) json[prefix + "_" + name] = value;
  json[prefix + "_runtime"] = rounded(seconds, 4);
  json[prefix + "_samples_per_second"] = rounded(examples / seconds, 3);
  json[prefix + "_steps_per_second"] = rounded(batches / seconds, 3);
  return json;
}

}  // namespace dept
