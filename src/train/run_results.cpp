#include "train/run_results.h"

#include <algorithm>
#include <chrono>

#include "dept/base/log.h"
#include "dept/base/text.h"
#include "dept/tasks/detail.h"
#include "dept/train/evaluate.h"
#include "dept/train/findings.h"

namespace dept {
namespace {

using Clock = std::chrono::steady_clock;

int64_t train_samples(const LoopInputs& in) {
  const auto examples = static_cast<int64_t>(in.train.examples.size());
  const DataOptions& data = in.options.data;
  return quirks_of(data).limits_train_samples() ? std::min(examples, data.max_train_samples.value_or(examples)) : examples;
}

OrderedJson train_results(const TrainingLoop& loop, const LoopInputs& in) {
  OrderedJson results = loop.state().log.back();
  for (const char* name : {"step", "total_flos"}) results.erase(name);
  results["train_samples"] = train_samples(in);
  return results;
}

// Evaluation on one split, its results under `name`; `trained` is what stands before it.
Evaluation evaluate_split(const LoopInputs& in, const std::string& name, const Split& split, Outputs& outputs,
                          const TrainState* trained) {
  const auto start = Clock::now();
  Evaluation evaluation = evaluate(in.model, in.rules, in.task, split.texts, split.examples, name, in.interrupted);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  OrderedJson results = evaluation_json(evaluation, name, seconds, in.rules.batch_size);
  if (trained != nullptr) {
    OrderedJson entry = results;
    entry["step"] = trained->step;
    in.logged(entry);
    if (name == "eval") results["epoch"] = trained->log.back()["epoch"];
  }
  results[name + "_samples"] = split.examples.size();
  outputs.results(name, results);
  log::info(results.dump());
  return evaluation;
}

// evaluation.json, and the table by class.
void show_detail(std::string_view split, const EvaluatedAnswers& evaluated, const Outputs& outputs) {
  const OrderedJson detail = evaluation_detail(split, evaluated);
  outputs.detail(detail);
  for (const std::string& line : class_table(detail)) log::info(line);
}

}  // namespace

RunEvents::RunEvents(const TrainOptions& options, const OrderedJson& shown, bool writes)
    : options_(options), shown_(shown), writes_(writes && options.output.reports_to_tensorboard()) {}

void RunEvents::log(const OrderedJson& entry) {
  if (writes_) open(entry.value("step", int64_t{0})).log(entry);
}

void RunEvents::end() {
  if (writer_) writer_->end_session(true);
}

void RunEvents::fail() {
  if (writes_) open(0).end_session(false);
}

EventWriter& RunEvents::open(int64_t first_step) {
  if (writer_) return *writer_;
  const OutputOptions& output = options_.output;
  writer_.emplace(output.logging_dir.empty() ? fs::path(output.output_dir) / "runs" : fs::path(output.logging_dir), first_step);
  writer_->text("args/text_summary", "```json\n" + shown_.dump(2) + "\n```");
  writer_->begin_session(shown_, fs::weakly_canonical(output.output_dir).string());
  return *writer_;
}

void leave_trained(const TrainingLoop& loop, const LoopInputs& in, Outputs& outputs) {
  outputs.adapter(in.config, in.model, {in.options.output.save_safetensors, in.options.adapter.save_lora_embeddings});
  outputs.trainer_state(loop.state(), loop.total_steps());
  if (in.options.output.report) outputs.findings(training_findings(in.model, loop.parameters(), loop.visual_parameters()));
  outputs.results("train", train_results(loop, in));
}

void evaluate_test(const LoopInputs& in, const RunData& data, Outputs& outputs, const TrainState* trained) {
  const Evaluation evaluation = evaluate_split(in, "test", data.test, outputs, trained);
  const EvaluatedAnswers evaluated = evaluated_answers(evaluation, in.rules, in.task, data.test.texts);
  outputs.predictions(evaluated);
  show_detail("test", evaluated, outputs);
}

bool evaluate_all(const LoopInputs& in, const RunData& data, Outputs& outputs, TrainingLoop* loop) {
  const TrainState* trained = loop == nullptr ? nullptr : &loop->state();
  try {
    const OutputOptions& output = in.options.output;
    if (output.do_eval) {
      const Evaluation evaluation = evaluate_split(in, "eval", data.validation, outputs, trained);
      if (!output.do_predict)
        show_detail("validation", evaluated_answers(evaluation, in.rules, in.task, data.validation.texts), outputs);
    }
    if (output.do_predict) evaluate_test(in, data, outputs, trained);
  } catch (const Interrupted&) {
    if (loop != nullptr) loop->save_end();
    log::info(str("interrupted in an evaluation", loop == nullptr ? "" : ", the training is done: the same command goes on"));
    return false;
  }
  outputs.all_results();
  return true;
}

}  // namespace dept
