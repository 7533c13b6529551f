#include "dept/train/options.h"

#include <vector>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/train/schedule.h"

namespace dept {
namespace {

const std::vector<std::string> when = {"no", "steps", "epoch"};

// Flags of transformers' TrainingArguments and of the original that change no result here.
void describe_ignored(OptionSet& set) {
  for (const char* name :
       {"fp16_backend", "fp16_opt_level", "half_precision_backend", "bf16_full_eval", "fp16_full_eval", "tf32", "use_ipex",
        "jit_mode_eval", "torch_compile", "gradient_checkpointing", "auto_find_batch_size", "eval_accumulation_steps"})
    set.ignore(name, "precision and memory are settled by --dtype");
  for (const char* name :
       {"local_rank", "tpu_num_cores", "ddp_backend", "ddp_find_unused_parameters", "ddp_bucket_cap_mb", "no_cuda"})
    set.ignore(name, "the device is chosen by --device");
  for (const char* name : {"dataloader_num_workers", "dataloader_pin_memory", "preprocessing_num_workers", "overwrite_cache",
                           "remove_unused_columns", "use_fast_tokenizer", "skip_memory_metrics", "cache_dir"})
    set.ignore(name, "data is read and tokenised at once");
  for (const char* name : {"pad_to_max_length", "ignore_pad_token_for_loss", "group_by_length"})
    set.ignore(name, "nothing is padded here");
  for (const char* name : {"dataset_config_name", "lang_name", "hidden_size", "greater_is_better"})
    set.ignore(name, "it follows from the data, the model and the metric");
  for (const char* name : {"log_level", "logging_dir", "report_to", "run_name", "disable_tqdm", "log_on_each_node", "debug",
                           "include_inputs_for_metrics"})
    set.ignore(name, "logs go to stderr and to output.log");
}

}  // namespace

void describe(ModelOptions& o, OptionSet& set) {
  set.section("Model");
  set.add("model_name_or_path", &o.model_name_or_path, "folder with config.json and safetensors, or a .gguf file");
  set.add("peft_model_id", &o.peft_model_id, "folder of a trained adapter");
  set.add("tokenizer_name", &o.tokenizer_name, "tokenizer folder or file, when it is not the model's own");
  set.add("dtype", &o.dtype, "compute type; auto is bf16 where the CPU multiplies it natively, else fp32")
      .choices({"fp32", "bf16", "auto"});
  set.add(
         "backbone_dtype", &o.backbone_dtype,
         "how the frozen model's weights are held: as --dtype (same), in a type of their own, or as a .gguf file has them (gguf)")
      .choices({"same", "fp32", "fp16", "bf16", "gguf"});
  set.add("bf16", &o.bf16, "the same as --dtype bf16");
  set.add("device", &o.device, "where to compute").choices({"cpu", "auto"});
  set.add("threads", &o.threads, "threads; 0 is one a physical core").min(0).max(4096);
}

void describe(DataOptions& o, OptionSet& set) {
  set.section("Data");
  set.add("train_file", &o.task.train_file, "training data: csv, tsv, json, jsonl or parquet");
  set.add("validation_file", &o.task.validation_file, "validation data");
  set.add("test_file", &o.task.test_file, "test data");
  set.add("text_column", &o.task.text_column, "column of the text (source when there is none called text)");
  set.add("text_pair_column", &o.task.text_pair_column, "column of a second text");
  set.add("label_column", &o.task.label_column, "column of the label or answer (target when there is none called label)");
  set.add("labels", &o.task.labels, "the labels, by commas (default: those of the training file)");
  set.add("label_words", &o.task.label_words, "what the model says for each label (default: the labels)");
  set.add("source_template", &o.task.source_template, "the input's text, columns in braces");
  set.add("metrics", &o.task.metrics, "metrics; the first one chooses the best model");
  set.add("causal_suffix", &o.causal_suffix, "text between source and answer for decoder-only models");
  set.add("max_seq_length", &o.max_seq_length, "longest source in tokens: s, the rows of A").min(1).max(1 << 20);
  set.add("truncate_head", &o.truncate_head, "cut too long sources at their head instead of their tail");
  set.add("max_train_samples", &o.max_train_samples, "use the first so many rows for training").min(1);
  set.add("max_eval_samples", &o.max_eval_samples, "use the first so many rows for validation").min(1);
  set.add("max_predict_samples", &o.max_predict_samples, "use the first so many rows for testing").min(1);
}

void describe(AdapterOptions& o, OptionSet& set) {
  set.section("Adapter");
  set.add("peft_type", &o.peft_type, "decomposed (PROMPT_TUNING_LORA) or vanilla prompt tuning")
      .choices({"PROMPT_TUNING_LORA", "PROMPT_TUNING"});
  set.add("prefix_length", &o.prefix_length, "m, the tokens of the soft prompt").min(1).max(1 << 20);
  set.add("num_transformer_submodules", &o.num_transformer_submodules,
          "2, encoder-decoder: another prompt of m tokens in front of the decoder's input")
      .min(1)
      .max(2);
  set.add("r", &o.r, "rank of A·B").min(0).max(1 << 16);
  set.add("lora_alpha", &o.lora_alpha, "A·B is scaled by lora_alpha / sqrt(r)");
  set.add("prompt_tuning_init", &o.prompt_tuning_init, "the prompt starts as embeddings of a text or at random")
      .choices({"TEXT", "RANDOM"});
  set.add("prompt_tuning_init_text", &o.prompt_tuning_init_text, "that text");
  set.add("delta_alignment", &o.delta_alignment,
          "decoder-only: the last source token gets A·B's last row (end), or the first its first (start)")
      .choices({"end", "start"});
  set.add("task_type", &o.task_type,
          "SEQ_CLS trains a classification head (default: CAUSAL_LM, SEQ_2_SEQ_LM, SEQ_CLS as the model decodes, does both, "
          "encodes)")
      .choices({"CAUSAL_LM", "SEQ_2_SEQ_LM", "SEQ_CLS"});
  set.add("pooling", &o.pooling,
          "what a head judges: the prompt's first vector (first), [CLS] (cls), the text's mean, or its last token "
          "(default: first for encoders, last for decoder-only models)")
      .choices({"first", "cls", "mean", "last"});
}

void describe(OptimizerOptions& o, OptionSet& set) {
  set.section("Optimiser");
  set.add("learning_rate", &o.learning_rate, "of the soft prompt").min(0);
  set.add("lora_embedding_lr", &o.lora_embedding_lr, "of A and B (default: learning_rate)").min(0);
  set.add("head_learning_rate", &o.head_learning_rate, "of a classification head (default: learning_rate)").min(0);
  set.add("optim", &o.optim, "AdamW with eps before (adamw_hf) or after (adamw_torch) bias correction")
      .choices({"adamw_hf", "adamw_torch"});
  set.add("adam_beta1", &o.adam_beta1, "decay of the first moment").min(0).max(1);
  set.add("adam_beta2", &o.adam_beta2, "decay of the second moment").min(0).max(1);
  set.add("adam_epsilon", &o.adam_epsilon, "added to the second moment's root").min(0);
  set.add("weight_decay", &o.weight_decay, "has an effect only with --apply_weight_decay").min(0);
  set.add("apply_weight_decay", &o.apply_weight_decay, "apply --weight_decay, which the original ignores");
  set.add("max_grad_norm", &o.max_grad_norm, "gradients are clipped to this norm").min(0);
}

void describe(ScheduleOptions& o, OptionSet& set) {
  set.section("Schedule");
  set.add("max_steps", &o.max_steps, "optimiser steps; -1: num_train_epochs decides").min(-1);
  set.add("num_train_epochs", &o.num_train_epochs, "passes over the training data").min(0).max(1e6);
  set.add("per_device_train_batch_size", &o.per_device_train_batch_size, "examples of a micro-batch on each rank")
      .min(1)
      .max(1 << 20);
  set.add("gradient_accumulation_steps", &o.gradient_accumulation_steps, "micro-batches of a step").min(1).max(1 << 20);
  set.add("lr_scheduler_type", &o.lr_scheduler_type, "course of the learning rates after warm-up").choices(schedule_names());
  set.add("warmup_steps", &o.warmup_steps, "steps over which the learning rates rise from 0").min(0);
  set.add("warmup_ratio", &o.warmup_ratio, "the same as a share of all steps, when warmup_steps is 0").min(0).max(1);
  set.add("seed", &o.seed, "of inits, order and dropout").min(0);
  set.add("data_seed", &o.data_seed, "of the order alone").min(0);
}

void describe(EvaluationOptions& o, OptionSet& set) {
  set.section("Evaluation");
  set.add("per_device_eval_batch_size", &o.per_device_eval_batch_size, "examples of an evaluation batch").min(1).max(1 << 20);
  set.add("eval_strategy", &o.eval_strategy, "when to evaluate while training").choices(when).alias("evaluation_strategy");
  set.add("eval_steps", &o.eval_steps, "steps between evaluations (default: logging_steps)").min(1);
  set.add("predict_by", &o.predict_by, "write the answer (generate) or choose the likeliest label (score)")
      .choices({"generate", "score"});
  set.add("predict_with_generate", &o.predict_with_generate, "false: evaluate the loss alone");
  set.add("generation_max_length", &o.generation_max_length, "longest answer in tokens (encoder-decoder: its start token counts)")
      .min(1)
      .max(1 << 16);
  set.add("generation_num_beams", &o.generation_num_beams, "beams of the search; 1: greedy").min(1).max(1 << 10);
  set.add("max_new_tokens", &o.max_new_tokens, "longest answer in new tokens; wins over generation_max_length")
      .min(1)
      .max(1 << 16);
  set.add("load_best_model_at_end", &o.load_best_model_at_end, "end with the best checkpoint instead of the last");
  set.add("metric_for_best_model", &o.metric_for_best_model,
          "what is best (default: the task's first metric); loss: the smaller the better");
}

void describe(OutputOptions& o, OptionSet& set) {
  set.section("Output");
  set.add("output_dir", &o.output_dir, "folder of everything a run writes");
  set.add("overwrite_output_dir", &o.overwrite_output_dir, "drop an earlier run's files there and start anew");
  set.add("do_train", &o.do_train, "train");
  set.add("do_eval", &o.do_eval, "evaluate on the validation data at the end");
  set.add("do_predict", &o.do_predict, "evaluate on the test data at the end and write the predictions");
  set.add("logging_strategy", &o.logging_strategy, "when to log the loss").choices(when);
  set.add("logging_steps", &o.logging_steps, "steps between logs").min(1);
  set.add("logging_first_step", &o.logging_first_step, "log the first step too");
  set.add("save_strategy", &o.save_strategy, "when to write checkpoints").choices(when);
  set.add("save_steps", &o.save_steps, "steps between checkpoints").min(1);
  set.add("save_total_limit", &o.save_total_limit, "keep so many checkpoints; the best and the newest always stay").min(1);
  set.add("save_safetensors", &o.save_safetensors, "false: the adapter as adapter_model.bin, for torch.load");
}

void describe(TrainOptions& o, OptionSet& set) {
  describe(o.model, set);
  describe(o.data, set);
  set.add("task_name", &o.task_name, "built-in tasks: not in this version");
  describe(o.adapter, set);
  describe(o.optimizer, set);
  describe(o.schedule, set);
  describe(o.evaluation, set);
  describe(o.output, set);
  describe_ignored(set);
}

void settle(TrainOptions& o, const OptionSet& set) {
  if (o.model.bf16 && !set.given("dtype")) o.model.dtype = "bf16";
  if (o.adapter.peft_type == "PROMPT_TUNING") o.adapter.r = 0;
  if (o.evaluation.eval_strategy != "no") o.output.do_eval = true;
  if (o.adapter.task_type == "SEQ_CLS" && !set.given("causal_suffix")) o.data.causal_suffix.clear();
  if (!o.evaluation.eval_steps) o.evaluation.eval_steps = o.output.logging_steps;

  std::vector<std::string> problems;
  const auto require = [&](bool good, std::string problem) {
    if (!good) problems.push_back(std::move(problem));
  };
  const EvaluationOptions& e = o.evaluation;
  const auto& task = o.data.task;
  require(!o.task_name, "--task_name is not in this version: give --train_file and its relatives");
  require(!o.model.model_name_or_path.empty() || !o.model.peft_model_id.empty(), "--model_name_or_path is missing");
  require(!o.output.output_dir.empty(), "--output_dir is missing");
  require(o.output.do_train || o.output.do_eval || o.output.do_predict, "none of --do_train, --do_eval, --do_predict is there");
  require(!o.output.do_train || task.train_file, "--do_train needs --train_file");
  require(!o.output.do_eval || task.validation_file, "--do_eval needs --validation_file");
  require(!o.output.do_predict || task.test_file, "--do_predict needs --test_file");
  require(o.schedule.max_steps != 0, "--max_steps is 0");
  require(o.schedule.max_steps > 0 || o.schedule.num_train_epochs > 0, "--num_train_epochs is 0");
  require(task.label_words.empty() || task.label_words.size() == task.labels.size(),
          "--label_words needs --labels, one word a label");
  if (e.load_best_model_at_end) {
    require(e.eval_strategy == o.output.save_strategy && e.eval_strategy != "no",
            "--load_best_model_at_end needs the same --eval_strategy and --save_strategy, not no");
    require(e.eval_strategy != "steps" || o.output.save_steps % *e.eval_steps == 0,
            "--load_best_model_at_end needs --save_steps to be a multiple of --eval_steps");
  }
  if (problems.empty()) return;
  std::string all = problems.front();
  for (size_t i = 1; i < problems.size(); ++i) all += "; " + problems[i];
  fail(Code::usage, "dept train", "flags that agree", all);
}

Context make_context(const ModelOptions& o, int64_t seed) {
  Context ctx;
  ctx.compute = parse_dtype(o.bf16 && o.dtype == "fp32" ? "bf16" : o.dtype);
  ctx.storage = parse_storage(o.backbone_dtype);
  ctx.threads = o.threads > 0 ? static_cast<int>(o.threads) : physical_cores();
  ctx.seeds = {static_cast<uint64_t>(seed)};
  return ctx;
}

}  // namespace dept
