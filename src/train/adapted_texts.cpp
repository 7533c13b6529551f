// An AdaptedModel as a program sees it: made from names, asked texts.
#include <algorithm>

#include "dept/adapted_model.h"
#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/tasks/source_template.h"
#include "dept/train/evaluate.h"
#include "dept/train/options.h"
#include "dept/train/run_data.h"
#include "dept/train/setup.h"
#include "train/first_adapter.h"

namespace dept {
namespace {

constexpr size_t batch_size = 32;  // texts that run together

int threads_of(const AdaptedModel& model) {
  return model.backbone().context().threads;
}

std::vector<Example> encode(const AdaptedModel& model, std::span<const std::string> texts) {
  const std::string& source_template = model.parts().config.task.source_template;
  std::vector<TextExample> rows;
  for (size_t i = 0; i < texts.size(); ++i)
    rows.push_back({static_cast<int64_t>(i),
                    fill_template(source_template, texts[i], str("text ", i), "an adapter whose template has {text} alone"), ""});
  return encode_examples(model.tokenizer(), model.rules(), rows, threads_of(model));
}

// body(examples) for some at a time, in order.
template <class Body>
void in_batches(std::span<const Example> examples, Body body) {
  for (size_t first = 0; first < examples.size(); first += batch_size)
    body(examples.subspan(first, std::min(batch_size, examples.size() - first)));
}

EvaluationOptions evaluation_of(const AdapterTask& task) {
  EvaluationOptions options;
  options.predict_by = task.predict_by;
  options.generation_max_length = task.generation_max_length;
  options.generation_num_beams = task.generation_num_beams;
  options.max_new_tokens = task.max_new_tokens;
  return options;
}

TaskData task_of(const std::vector<std::string>& labels, const std::vector<std::string>& label_words) {
  TaskData data;
  data.labels = labels;
  data.label_words = label_words.empty() ? labels : label_words;
  return data;
}
TaskData task_of(const AdaptedModel& model) {
  const AdapterTask& task = model.parts().config.task;
  return task_of(task.labels, task.label_words);
}

PredictRules rules_of(const AdaptedModel& model) {
  return predict_rules(evaluation_of(model.parts().config.task), task_of(model), model, threads_of(model));
}

// A caller's words are kept beside the adapter, as the files of a trained one have them.
void keep_answers(AdapterTask& task, const DataOptions& data, const EvaluationOptions& evaluation) {
  task.source_template = data.task.source_template;
  task.image_column = data.task.image_column;
  task.chat = data.task.chat;
  task.labels = data.task.labels;
  task.label_words = data.task.label_words;
  task.predict_by = evaluation.predict_by;
  task.generation_max_length = evaluation.generation_max_length;
  task.generation_num_beams = evaluation.generation_num_beams;
  task.max_new_tokens = evaluation.max_new_tokens;
}

}  // namespace

AdaptedModel AdaptedModel::load(ModelOptions model, DataOptions data, ModelUse use) {
  ModelOptions asked_model;
  DataOptions asked_data;
  EvaluationOptions evaluation;
  OptionSet set;
  describe(asked_model, set);
  describe(asked_model.images, set);
  describe(asked_data, set);
  asked_model = std::move(model);
  asked_data = std::move(data);
  set.take_changed_as_given();
  const AdapterConfig config = adopt_adapter(asked_model, asked_data, evaluation, set);
  check_source(asked_model);
  place_model(asked_model);
  adopt_label_names(config, asked_model, asked_data);
  ModelParts parts = read_parts(asked_model, asked_data, use);
  keep_answers(parts.config.task, asked_data, evaluation);
  parts.backbone = load_backbone(asked_model.path(), make_context(asked_model));
  return AdaptedModel(use == ModelUse::answering ? fold(std::move(parts)) : std::move(parts));
}

AdaptedModel AdaptedModel::create(ModelOptions model, AdapterOptions adapter, DataOptions data, int64_t seed) {
  if (!model.peft_model_id.empty())
    fail(Code::usage, "peft_model_id", "none for a new adapter (AdaptedModel::load takes it)", quote(model.peft_model_id));
  TrainOptions o;
  OptionSet set;
  describe(o, set);
  o.model = std::move(model);
  o.adapter = std::move(adapter);
  o.data = std::move(data);
  o.schedule.seed = seed;
  o.output.do_train = true;
  if (!o.data.task.labels.empty()) o.evaluation.predict_by = "score";
  set.take_changed_as_given();
  settle_model(o, set);
  check_source(o.model);
  place_model(o.model);
  const ModelInfo info = check_model(o.model);
  check_submodules(o.adapter.num_transformer_submodules, info);
  RunData run;
  run.task = task_of(o.data.task.labels, o.data.task.label_words);
  run.task.chat = o.data.task.chat;
  run.tokenizer = load_model_tokenizer(o.model, quirks_of(o.data));
  run.rules = run_rules(o, info, *run.tokenizer, run.task);
  return run_model(o, run, load_backbone(o.model.path(), make_context(o.model)));
}

std::vector<Prediction> AdaptedModel::predict(std::span<const std::string> texts) const {
  return dept::predict(*this, rules_of(*this), task_of(*this), encode(*this, texts), false);
}

std::vector<Prediction> AdaptedModel::predict(std::span<const TextExample> rows) const {
  const std::vector<Example> examples = encode_examples(tokenizer(), rules(), rows, threads_of(*this));
  return dept::predict(*this, rules_of(*this), task_of(*this), examples, false);
}

std::vector<LabelNll> AdaptedModel::score(std::span<const std::string> texts, std::span<const std::string> answers) const {
  const std::vector<Ids> labels = encode_targets(tokenizer(), rules(), answers, threads_of(*this));
  for (size_t i = 0; i < labels.size(); ++i)
    if (labels[i].empty()) fail(Code::bad_input, str("answer ", i), "at least one token", quote(answers[i]));
  std::vector<LabelNll> scores;
  in_batches(encode(*this, texts), [&](std::span<const Example> batch) {
    for (LabelNll& score : label_nll(batch, labels)) scores.push_back(std::move(score));
  });
  return scores;
}

std::vector<std::string> AdaptedModel::generate(std::span<const std::string> texts, GenerationOptions options) const {
  if (options.eos_ids.empty()) options.eos_ids = rules_of(*this).generation.eos_ids;
  std::vector<std::string> written;
  in_batches(encode(*this, texts), [&](std::span<const Example> batch) {
    for (std::string& answer : answers(batch, options)) written.push_back(std::move(answer));
  });
  return written;
}

at::Tensor AdaptedModel::logits(std::span<const std::string> texts) const {
  if (!has_head()) fail(Code::usage, "logits", "a model with a classification head", "one without");
  const std::vector<Example> examples = encode(*this, texts);
  return head_logits(collate(rules(), examples, Purpose::answering));
}

double AdaptedModel::loss(std::span<const TextExample> rows) const {
  double nll = 0, tokens = 0;
  const std::vector<Example> examples = encode_examples(tokenizer(), rules(), rows, threads_of(*this));
  in_batches(examples, [&](std::span<const Example> batch) {
    const BatchLoss found = loss({}, collate(rules(), batch, Purpose::evaluating));
    nll += found.nll.sum().item<double>();
    tokens += found.tokens.sum().item<double>();
  });
  return tokens > 0 ? nll / tokens : 0;
}

void AdaptedModel::save(const std::filesystem::path& folder) const {
  if (parts_->folded) fail(Code::usage, "save", "a model that is created or loaded for training", "one that is loaded to answer");
  fs::create_directories(folder);
  save_adapter(folder, parts_->config, weights());
  for (const auto& [name, bytes] : tokenizer().files()) write_atomic(folder / name, bytes);
}

}  // namespace dept
