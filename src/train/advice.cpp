#include "dept/train/advice.h"

#include <initializer_list>

#include "dept/base/log.h"
#include "dept/base/text.h"
#include "dept/train/metric_schedule.h"
#include "dept/train/schedule.h"

namespace dept {
namespace {

using Names = std::initializer_list<const char*>;

// Names those of the options that were given, in one line, where `unused`.
class IdleOptions {
 public:
  explicit IdleOptions(const OptionSet& set) : set_(set) {}

  void when(bool unused, std::string_view why, Names names) const {
    std::vector<std::string> given;
    for (const char* name : names)
      if (unused && set_.given(name)) given.push_back(str("--", name));
    if (!given.empty()) log::warn(str(join(given, ", "), given.size() == 1 ? " has" : " have", " no effect: ", why));
  }

 private:
  const OptionSet& set_;
};

void find_idle_method(const IdleOptions& idle, const AdapterConfig& adapter) {
  const auto& [words, rank, rows, hidden, dropout, seed] = adapter.method->fields;
  bool delta = false;
  for (const AdapterTensor& tensor : adapter.method->tensors(shape_of(adapter))) delta = delta || tensor.group == Group::delta;
  const std::string why = str("--peft_type ", adapter.method->peft_type, " has no use for it");
  idle.when(!words, why, {"prompt_tuning_init", "prompt_tuning_init_text", "text_init"});
  idle.when(!rank, why, {"r"});
  idle.when(!rows, why, {"lora_alpha", "delta_alignment", "save_lora_embeddings"});
  idle.when(!delta, why, {"lora_embedding_lr"});
  idle.when(!hidden, why, {"encoder_hidden_size"});
  idle.when(!dropout, why, {"adapter_dropout"});
  idle.when(!seed, why, {"projection_seed"});
}

void find_idle_adapter(const TrainOptions& o, const IdleOptions& idle, const ModelInfo& model, const AdapterConfig& adapter) {
  const bool loads = !o.model.peft_model_id.empty(), head = adapter.classifies();
  idle.when(loads, "the adapter of --peft_model_id has its own",
            {"prefix_length", "r", "lora_alpha", "encoder_hidden_size", "adapter_dropout", "projection_seed",
             "num_transformer_submodules", "prompt_tuning_init", "prompt_tuning_init_text", "text_init", "pooling"});
  idle.when(!loads, "there is no --peft_model_id to load", {"load_lora_embeddings", "load_lora_embedding_B"});
  idle.when(!adapter.visual, "there is no --visual", {"visual_embedding", "visual_learning_rate", "image_folder"});
  if (loads) return;
  if (!quirks_of(o.data).trains_two_methods_only()) find_idle_method(idle, adapter);
  idle.when(adapter.decomposed() && adapter.r == 0, "--r 0 leaves no A and B", {"lora_alpha", "lora_embedding_lr"});
  idle.when(adapter.prompt_tuning_init == "RANDOM", "the prompt starts at random", {"prompt_tuning_init_text"});
  idle.when(model.encoder_decoder() && adapter.decomposed(), str(model.model_type, " aligns A·B with the text's start"),
            {"delta_alignment"});
  idle.when(!head, "there is no classification head", {"head_learning_rate"});
  idle.when(model.architecture != Architecture::decoder, str(model.model_type, " is no decoder-only model"),
            {"causal_suffix", "target_start", "target_end"});
  idle.when(adapter.task.chat, "the model's chat form says what stands around a target",
            {"causal_suffix", "target_start", "target_end"});
  idle.when(head && model.architecture == Architecture::decoder, "a classification head reads no target's tokens",
            {"target_start", "target_end"});
}

void find_idle_schedule(const TrainOptions& o, const IdleOptions& idle) {
  const ScheduleOptions& s = o.schedule;
  const std::string& type = s.lr_scheduler_type;
  idle.when(s.max_steps > 0, "--max_steps decides how long the run is", {"num_train_epochs"});
  idle.when(type == "constant" || follows_metric(type), str("--lr_scheduler_type ", type, " has no warm-up of this kind"),
            {"warmup_steps", "warmup_ratio"});
  idle.when(s.warmup_steps > 0 && !quirks_of(o.data).ignores_optimizer_flags(), "--warmup_steps decides", {"warmup_ratio"});
  idle.when(s.train_sampling_strategy == "sequential", "the examples stay in their order", {"data_seed"});
  idle.when(o.optimizer.weight_decay == 0 && !quirks_of(o.data).ignores_optimizer_flags(), "--weight_decay is 0",
            {"apply_weight_decay"});
}

void find_idle_evaluation(const TrainOptions& o, const IdleOptions& idle) {
  const EvaluationOptions& e = o.evaluation;
  const bool never = e.eval_strategy == "no", evaluates = o.output.do_eval || o.output.do_predict;
  const std::string strategy = "--eval_strategy is " + e.eval_strategy;
  idle.when(e.eval_strategy != "steps", strategy, {"eval_steps"});
  idle.when(never, strategy, {"eval_delay"});
  idle.when(never && !e.eval_on_start, "no evaluation is compared while training: " + strategy,
            {"metric_for_best_model", "greater_is_better"});
  idle.when(!e.early_stopping_patience, "there is no --early_stopping_patience", {"early_stopping_threshold"});
  idle.when(!evaluates, "nothing is evaluated", {"per_device_eval_batch_size", "predict_by", "predict_with_generate"});
  idle.when(!o.output.do_eval, "there is no --do_eval", {"validation_file", "max_eval_samples"});
  idle.when(!o.output.do_predict, "there is no --do_predict", {"test_file", "max_predict_samples"});
}

void find_idle_output(const TrainOptions& o, const IdleOptions& idle) {
  const OutputOptions& out = o.output;
  idle.when(out.save_strategy != "steps", "--save_strategy is " + out.save_strategy, {"save_steps"});
  idle.when(out.save_strategy == "no", "--save_strategy is no", {"save_total_limit"});
  const bool paces_evaluation = o.evaluation.eval_strategy == "steps" && *o.evaluation.eval_steps == out.logging_steps;
  idle.when(out.logging_strategy != "steps" && !paces_evaluation, "--logging_strategy is " + out.logging_strategy,
            {"logging_steps"});
  idle.when(!out.reports_to_tensorboard(), "--report_to names no tensorboard", {"logging_dir"});
}

// Of a run that only evaluates: a recipe may hold them, so flags alone are named.
void find_idle_training(const OptionSet& set) {
  std::vector<std::string> names;
  for (const Option& option : set.options())
    if (option.by_flag &&
        (option.section == "Adapter" || option.section == "Optimiser" || option.section == "Schedule" ||
         option.section == "Evaluation while training") &&
        option.name != "seed")
      names.push_back("--" + option.name);
  for (const char* name : {"max_train_samples", "k_shot_examples"})
    if (set.given(name)) names.push_back(str("--", name));
  if (!names.empty())
    log::warn(str(join(names, ", "), names.size() == 1 ? " has" : " have", " no effect: there is no --do_train"));
}

std::string form_of(const AdapterConfig& config) {
  std::string form = str(config.decomposed() ? "decomposed " : "", "prompt of ", config.num_virtual_tokens, " tokens");
  if (config.method->fields.rank) form += str(", rank ", config.r);
  if (!config.decomposed() && config.method != &prompt_tuning_method()) form = str(config.method->peft_type, ", ", form);
  if (config.visual) form += str(", ", config.visual->tokens, " visual tokens");
  return form + (config.classifies() ? ", classification head" : "");
}

std::string what_is_trained(const TrainOptions& o, const AdapterConfig& adapter) {
  const std::string& model = o.model.model_name_or_path;
  const bool starts = o.model.peft_model_id.empty();
  if (!o.output.do_train && !starts) return "judged is " + what_is_evaluated(o.model);
  if (!o.output.do_train) return str("judged is a new adapter that has learned nothing (", form_of(adapter), ") on ", model);
  return str("trained, then judged: ", starts ? "a new adapter" : "the adapter " + o.model.peft_model_id, " (", form_of(adapter),
             ") on ", model);
}

}  // namespace

void advise(const TrainOptions& o, const OptionSet& set, const ModelInfo& model, const AdapterConfig& adapter) {
  const IdleOptions idle(set);
  log::info(what_is_trained(o, adapter));
  warn_of_idle_sources(o.model, o.data, set);
  find_idle_evaluation(o, idle);
  if (o.output.do_eval || o.output.do_predict) warn_of_idle_generation(o.evaluation, set, adapter.classifies());
  if (!o.output.do_train) return find_idle_training(set);
  find_idle_adapter(o, idle, model, adapter);
  find_idle_schedule(o, idle);
  find_idle_output(o, idle);
  if (!set.given("learning_rate"))
    log::warn(str("--learning_rate is ", o.optimizer.learning_rate,
                  ", the default, at which a soft prompt learns next to nothing: 0.001 to 0.5 are usual"));
}

void warn_of_long_warmup(const ScheduleOptions& o, int64_t steps) {
  if (o.lr_scheduler_type == "constant" || follows_metric(o.lr_scheduler_type)) return;
  const int64_t warmup = warmup_steps(o.warmup_steps, o.warmup_ratio, steps);
  if (warmup >= steps && warmup > 0)
    log::warn(str("the warm-up of ", warmup, " steps does not end within the run's ", steps,
                  ": no learning rate reaches its full value"));
}

void warn_of_idle_sources(const ModelOptions& model, const DataOptions& data, const OptionSet& set) {
  const IdleOptions idle(set);
  idle.when(!is_on_hub(model.model_name_or_path) && !is_on_hub(model.tokenizer_name), "no model of the hub is named",
            {"revision"});
  idle.when(!data.named(), "there is no --task_name", {"split_validation_test"});
}

void warn_of_idle_generation(const EvaluationOptions& o, const OptionSet& set, bool head) {
  const IdleOptions idle(set);
  const bool score = o.predict_by == "score";
  const std::string_view why = head                       ? "a classification head answers"
                               : score                    ? "--predict_by score writes no text"
                               : !o.predict_with_generate ? "--predict_with_generate is false"
                                                          : "";
  idle.when(head, why, {"predict_by", "predict_with_generate", "prediction_loss_only"});
  idle.when(!head && score, "--predict_by score decides", {"predict_with_generate", "prediction_loss_only"});
  idle.when(!why.empty(), why, {"generation_num_beams", "max_new_tokens"});
}

std::string what_is_evaluated(const ModelOptions& options) {
  if (options.peft_model_id.empty()) return "the untrained model " + options.model_name_or_path;
  return str("the adapter ", options.peft_model_id, " (", form_of(read_adapter_config(options.peft_model_id)), ") on ",
             options.model_name_or_path);
}

}  // namespace dept
