// Loss, predictions and metrics of a model on labelled data.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "dept/base/json.h"
#include "dept/tasks/detail.h"
#include "dept/tasks/task.h"
#include "dept/train/model_parts.h"
#include "dept/train/options.h"

namespace dept {

enum class PredictBy { nothing, generate, score, head };

/// How predictions are made.
struct PredictRules {
  PredictBy by = PredictBy::generate;
  int64_t batch_size = 8;
  GenerationOptions generation;
  std::vector<std::string> labels;  ///< their names, as shown
  std::vector<Ids> label_ids;       ///< what the model says for each, as encode_targets makes it
  Collective* group = nullptr;      ///< ranks that share the work, each of which has all results in the end
  bool drop_last = false;           ///< evaluate full batches alone: the original's --dataloader_drop_last
};

/// From the options and the task; a model with a head predicts by that. Warns of labels that no generated answer can be.
/// Throws usage when labels are to be scored and there are none.
PredictRules predict_rules(const EvaluationOptions& options, const TaskData& task, const AdaptedModel& model, int threads);

/// The likeliest label and the shares of all, one prediction an example.
std::vector<Prediction> score_predictions(const PredictRules& rules, std::span<const LabelNll> scored);
/// The same of a head's logits, fp64 [examples, C]; of a regression head its number.
std::vector<Prediction> head_predictions(const PredictRules& rules, const at::Tensor& logits);

/// Answers end with the mark of the chat form too, where that is a token.
void end_at_turn(GenerationOptions& generation, const Tokenizer& tokenizer, const ChatForm& form);

/// One prediction an example, in order. `with_scores`: scores also where the prediction is generated.
std::vector<Prediction> predict(const AdaptedModel& model, const PredictRules& rules, const TaskData& task,
                                std::span<const Example> examples, bool with_scores);

/// Notices a model that always answers the same, or nothing.
class AnswerWatch {
 public:
  void add(const std::string& answer);
  /// One line when there were two answers or more and all were the same; else "".
  std::string remark() const;

 private:
  size_t count_ = 0;
  bool same_ = true;
  std::string first_;
};

struct Evaluation {
  double loss = 0;  ///< sum over batches of (mean over label tokens, or a head's examples) x (examples), over all examples
  Metrics metrics;
  std::vector<std::string> predictions;     ///< empty when only the loss was asked for
  std::vector<std::string> targets;         ///< label names, or free text
  std::vector<std::vector<double>> scores;  ///< [labels] of each example, where they were scored; else empty
};

/// Asks whether to stop; none never does.
using Interrupt = std::function<bool()>;

/// What evaluate throws when it is to stop.
struct Interrupted {};

/// `texts` and `examples` are the same rows, labelled. `title` names the progress line. `interrupt` is asked after each batch.
Evaluation evaluate(const AdaptedModel& model, const PredictRules& rules, const TaskData& task,
                    std::span<const TextExample> texts, std::span<const Example> examples, std::string_view title,
                    const Interrupt& interrupt = {});

/// Warns where all answers are the same; that is no mistake where all targets are that one.
void point_out_one_answer(std::string_view title, const Evaluation& evaluation);

/// What evaluate finds of each of K stacked adapters, in one pass: as of each by itself but for the rounding of larger products.
/// It points out nothing.
std::vector<Evaluation> evaluate_stack(const AdaptedModel& model, const PredictRules& rules, const TaskData& task,
                                       std::span<const TextExample> texts, std::span<const Example> examples,
                                       std::string_view title, const Interrupt& interrupt = {});

/// The same for evaluation_detail; `texts` are those that were evaluated. The result refers to all of them.
EvaluatedAnswers evaluated_answers(const Evaluation& evaluation, const PredictRules& rules, const TaskData& task,
                                   std::span<const TextExample> texts);

/// Under transformers' keys: PREFIX_loss, PREFIX_<metric>, PREFIX_runtime, PREFIX_samples_per_second, PREFIX_steps_per_second.
OrderedJson evaluation_json(const Evaluation& evaluation, const std::string& prefix, double seconds, int64_t batch_size);

}  // namespace dept
