// What depends on several of train's options: implied values, and every contradiction at once.
#include <functional>
#include <string_view>

#include "dept/adapter/method.h"
#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/problems.h"
#include "dept/base/text.h"
#include "dept/train/metric_schedule.h"
#include "dept/train/optimizer.h"
#include "dept/train/options.h"
#include "dept/train/schedule.h"
#include "dept/train/visual_input.h"

namespace dept {
namespace {

template <class T>
void drop(const OptionSet& set, const char* name, T& value, const T& standard) {
  if (!set.given(name)) return;
  log::warn(str("--", name, " has no effect under --original_quirks, as in the original"));
  value = standard;
}

// What the original takes and does not use.
void drop_what_the_original_ignores(TrainOptions& o, const OptionSet& set) {
  const TrainOptions standard;
  if (quirks_of(o.data).ignores_optimizer_flags()) {
    drop(set, "optim", o.optimizer.optim, standard.optimizer.optim);
    drop(set, "adam_beta1", o.optimizer.adam_beta1, standard.optimizer.adam_beta1);
    drop(set, "adam_beta2", o.optimizer.adam_beta2, standard.optimizer.adam_beta2);
    drop(set, "adam_epsilon", o.optimizer.adam_epsilon, standard.optimizer.adam_epsilon);
    drop(set, "apply_weight_decay", o.optimizer.apply_weight_decay, standard.optimizer.apply_weight_decay);
    drop(set, "lr_scheduler_type", o.schedule.lr_scheduler_type, standard.schedule.lr_scheduler_type);
    drop(set, "lr_scheduler_kwargs", o.schedule.lr_scheduler_kwargs, standard.schedule.lr_scheduler_kwargs);
    drop(set, "warmup_ratio", o.schedule.warmup_ratio, standard.schedule.warmup_ratio);
  }
  if (quirks_of(o.data).ignores_metric_flags()) {
    drop(set, "metric_for_best_model", o.evaluation.metric_for_best_model, standard.evaluation.metric_for_best_model);
    drop(set, "greater_is_better", o.evaluation.greater_is_better, standard.evaluation.greater_is_better);
  }
  if (quirks_of(o.data).groups_rates_by_peft_type() && o.adapter.peft_type == "PROMPT_TUNING")
    drop(set, "lora_embedding_lr", o.optimizer.lora_embedding_lr, standard.optimizer.lora_embedding_lr);
}

// Contradictions between options, each a problem of its own.
class Contradictions {
 public:
  void unless(bool good, std::string_view option, std::string_view expected, std::string_view received) {
    if (!good) problems_.attempt([&] { fail(Code::usage, option, expected, received); });
  }
  void attempt(const std::function<void()>& check) { problems_.attempt(check); }
  void raise() const { problems_.raise(); }

 private:
  Problems problems_;
};

// Whether the run goes on from a checkpoint of its own folder.
bool resumes_own_checkpoint(const OutputOptions& o) {
  if (!o.resume_from_checkpoint) return false;
  std::error_code error;
  return *o.resume_from_checkpoint == "true" ||
         fs::weakly_canonical(*o.resume_from_checkpoint, error).parent_path() == fs::weakly_canonical(o.output_dir, error);
}

// What is missing. An option that was given wrongly is not: its own mistake is said already.
void check_what_is_there(const TrainOptions& o, const OptionSet& set, Contradictions& found) {
  const auto needed = [&](bool there, const char* option, const char* expected) {
    found.unless(there || set.given(option), str("--", option), expected, "nothing");
  };
  const FileTaskOptions& task = o.data.task;
  const bool named = o.data.named() || set.given("task_name");
  needed(!o.model.model_name_or_path.empty() || !o.model.peft_model_id.empty() || set.given("peft_model_id"),
         "model_name_or_path", "a model's folder, .gguf file or name on the hub");
  needed(!o.output.output_dir.empty(), "output_dir", "a folder for what the run writes");
  found.unless(o.output.do_train || o.output.do_eval || o.output.do_predict || set.given("do_train") || set.given("do_eval") ||
                   set.given("do_predict"),
               "dept train", "--do_train, --do_eval or --do_predict", "none of them");
  needed(named || !o.output.do_train || !task.train_file.empty(), "train_file", "training data, or --task_name, for --do_train");
  needed(named || !o.output.do_eval || !task.validation_file.empty() || o.data.validation_split, "validation_file",
         "validation data, --validation_split or --task_name, for --do_eval and evaluations while training");
  needed(named || !o.output.do_predict || !task.test_file.empty(), "test_file", "test data, or --task_name, for --do_predict");
}

void check_validation_split(const TrainOptions& o, Contradictions& found) {
  if (!o.data.validation_split) return;
  const double share = *o.data.validation_split;
  found.unless(share > 0 && share < 1, "--validation_split", "a share above 0 and below 1", str(share));
  found.unless(o.data.task.validation_file.empty(), "--validation_split", "data without --validation_file",
               "--validation_file too");
  found.unless(o.output.do_train, "--validation_split", "--do_train with it", "no --do_train");
}

void check_output(const OutputOptions& o, Contradictions& found) {
  found.unless(!o.push_to_hub, "--push_to_hub", "false: nothing is uploaded, and output_dir is what would be", "true");
  found.unless(!o.overwrite_output_dir || !resumes_own_checkpoint(o), "--overwrite_output_dir",
               "false, as it would remove the checkpoint of --resume_from_checkpoint", "true");
  found.unless(o.do_train || !o.resume_from_checkpoint, "--resume_from_checkpoint", "--do_train with it", "no --do_train");
  const bool none = std::find(o.report_to.begin(), o.report_to.end(), "none") != o.report_to.end();
  found.unless(!none || o.report_to.size() == 1, "--report_to", "none by itself, or tensorboard", join(o.report_to, ", "));
}

void check_precision(const ModelOptions& o, const OptionSet& set, Contradictions& found) {
  found.unless(!o.bf16 || !set.given("dtype") || o.dtype == "bf16" || o.dtype == "int8", "--dtype", "bf16, as --bf16 says",
               o.dtype);
  const bool int8 = o.quantization || o.dtype == "int8";
  found.unless(!int8 || o.backbone_dtype == "same" || o.backbone_dtype == "int8", "--backbone_dtype",
               o.quantization ? "int8, as --quantization says" : "int8, as --dtype says", o.backbone_dtype);
}

void check_evaluations(const TrainOptions& o, Contradictions& found) {
  const EvaluationOptions& e = o.evaluation;
  const std::string &evaluates = e.eval_strategy, &saves = o.output.save_strategy, &rates = o.schedule.lr_scheduler_type;
  const bool never = evaluates == "no";
  found.unless(!e.early_stopping_patience || (e.load_best_model_at_end && !never), "--early_stopping_patience",
               "--load_best_model_at_end, and --eval_strategy steps or epoch, with it",
               str("eval_strategy ", evaluates, e.load_best_model_at_end ? "" : ", no --load_best_model_at_end"));
  found.unless(!follows_metric(rates) || !never, "--eval_strategy",
               str("steps or epoch, as --lr_scheduler_type ", rates, " follows the evaluations"), evaluates);
  found.unless(saves != "best" || !never, "--eval_strategy", "steps or epoch, as --save_strategy best compares evaluations",
               evaluates);
  if (!e.load_best_model_at_end || saves == "best") return;
  found.unless(evaluates == saves && !never, "--load_best_model_at_end",
               "the same --eval_strategy and --save_strategy, steps or epoch",
               str("eval_strategy ", evaluates, ", save_strategy ", saves));
  found.unless(evaluates != "steps" || o.output.save_steps % *e.eval_steps == 0, "--save_steps",
               str("a multiple of --eval_steps, ", *e.eval_steps, ", for --load_best_model_at_end"), str(o.output.save_steps));
}

void check_schedule(const TrainOptions& o, Contradictions& found) {
  if (!quirks_of(o.data).ignores_optimizer_flags())
    found.attempt([&] { parse_optim(o.optimizer.optim); });  // there it has no effect
  const std::string &type = o.schedule.lr_scheduler_type, &arguments = o.schedule.lr_scheduler_kwargs;
  found.attempt([&] {
    try {
      if (follows_metric(type))
        parse_metric_schedule(type, arguments, false);
      else
        parse_schedule_arguments(type, arguments);
    } catch (const Error& error) {
      throw Error(Code::usage, error.what());  // JSON of a flag, not of a file
    }
  });
  found.unless(o.schedule.max_steps != 0, "--max_steps", "at least 1, or -1: --num_train_epochs decides", "0");
  found.unless(o.schedule.max_steps > 0 || o.schedule.num_train_epochs > 0, "--num_train_epochs", "more than 0", "0");
}

// A method's own values where none are given.
void settle_method(AdapterOptions& o, const OptionSet& set) {
  const Method& method = find_method(o.peft_type);
  const auto settle = [&](const char* name, auto& value, auto standard) {
    if (standard > 0 && !set.given(name)) value = standard;
  };
  settle("prefix_length", o.prefix_length, method.defaults.prompt_tokens);
  settle("r", o.r, method.defaults.rank);
  settle("encoder_hidden_size", o.encoder_hidden_size, method.defaults.hidden);
  settle("adapter_dropout", o.adapter_dropout, method.defaults.dropout);
  if (!method.fields.rank) o.r = 0;
}

void check_method(const TrainOptions& o, Contradictions& found) {
  const Method& method = find_method(o.adapter.peft_type);
  found.unless(method.fields.rows || !method.fields.rank || o.adapter.r > 0, "--r", str("at least 1 for ", method.peft_type),
               "0");
  const bool known = &method == &dept_method() || &method == &prompt_tuning_method();
  found.unless(known || !quirks_of(o.data).trains_two_methods_only(), "--peft_type",
               "PROMPT_TUNING_LORA or PROMPT_TUNING under --original_quirks, as the original has no other",
               std::string(method.peft_type));
}

}  // namespace

void check_task_options(const DataOptions& o, const OptionSet& set) {
  Contradictions found;
  const FileTaskOptions& task = o.task;
  found.unless(task.label_words.empty() || task.label_words.size() == task.labels.size(), "--label_words",
               "one word for each of --labels", str(task.label_words.size(), " for ", task.labels.size(), " labels"));
  if (!o.named()) found.unless(!o.add_prefix, "--add_prefix", "--task_name with it, as the prefix is the task's name", "none");
  if (o.named())
    for (const char* name : {"text_column", "text_pair_column", "label_column", "image_column", "labels", "label_words",
                             "source_template", "metrics"})
      found.unless(!set.given(name), str("--", name), "data without --task_name, as a named task has its own",
                   str("--", o.task_name ? "task_name " + *o.task_name : "task_file " + *o.task_file));
  found.raise();
}

namespace {

// What VL-Adapter has for the named tasks of images, where nothing is given.
void imply_image_task(TrainOptions& o, const OptionSet& set) {
  const bool vqa = o.data.task_name == "vqa", captions = o.data.task_name == "coco-caption";
  if (o.data.task_file || (!vqa && !captions)) return;
  const auto settle_to = [&](const char* name, auto& value, auto standard) {
    if (!set.given(name)) value = standard;
  };
  settle_to("max_seq_length", o.data.max_seq_length, int64_t{20});
  settle_to("generation_max_length", o.evaluation.generation_max_length, int64_t{vqa ? 10 : 40});
  if (captions) settle_to("generation_num_beams", o.evaluation.generation_num_beams, int64_t{5});
}

// Values that others of model, data and adapter imply.
void imply_model(TrainOptions& o, const OptionSet& set) {
  if (o.model.bf16 && !set.given("dtype")) o.model.dtype = "bf16";
  settle_method(o.adapter, set);
  if (o.adapter.text_init && !set.given("prompt_tuning_init"))
    o.adapter.prompt_tuning_init = *o.adapter.text_init ? "TEXT" : "RANDOM";
  if (o.adapter.task_type == "SEQ_CLS" && !set.given("causal_suffix")) o.data.causal_suffix.clear();
  o.data.cache_dir = o.model.hub.cache_dir;
  if (sees_images(o.model.images) && !o.data.named() && !set.given("image_column")) o.data.task.image_column = "image";
  imply_image_task(o, set);
}

void check_image_options(const TrainOptions& o, const OptionSet& set, Contradictions& found) {
  const bool sees = set.given("visual") || !o.model.peft_model_id.empty();
  found.unless(sees || !set.given("image_column"), "--image_column", "--visual with it, which says what is seen of the images",
               "no --visual");
}

void check_model_options(const TrainOptions& o, const OptionSet& set, Contradictions& found) {
  check_image_options(o, set, found);
  found.attempt([&] { check_task_options(o.data, set); });
  check_precision(o.model, set, found);
  check_method(o, found);
}

}  // namespace

void settle_model(TrainOptions& o, const OptionSet& set) {
  imply_model(o, set);
  Contradictions found;
  check_model_options(o, set, found);
  found.raise();
}

void settle(TrainOptions& o, const OptionSet& set) {
  imply_model(o, set);
  if (o.schedule.group_by_length) o.schedule.train_sampling_strategy = "group_by_length";
  if (o.evaluation.prediction_loss_only) o.evaluation.predict_with_generate = false;
  if (o.evaluation.eval_strategy != "no" || o.evaluation.eval_on_start) o.output.do_eval = true;
  if (!o.evaluation.eval_steps) o.evaluation.eval_steps = o.output.logging_steps;

  Contradictions found;
  check_what_is_there(o, set, found);
  check_validation_split(o, found);
  check_output(o.output, found);
  check_model_options(o, set, found);
  check_schedule(o, found);
  check_evaluations(o, found);
  found.raise();
  drop_what_the_original_ignores(o, set);
}

bool OutputOptions::reports_to_tensorboard() const {
  const auto names = [&](const char* name) { return std::find(report_to.begin(), report_to.end(), name) != report_to.end(); };
  return names("tensorboard") || names("all");
}

}  // namespace dept
