#include "dept/train/options.h"

#include <algorithm>
#include <initializer_list>
#include <vector>

#include "dept/adapter/method.h"
#include "dept/base/cpus.h"
#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/problems.h"
#include "dept/base/text.h"
#include "dept/tensor/device.h"
#include "dept/train/metric_schedule.h"
#include "dept/train/optimizer.h"
#include "dept/train/schedule.h"

namespace dept {
namespace {

const std::vector<std::string> when = {"no", "steps", "epoch"};

// Flags of the original's argument classes and of transformers' TrainingArguments (4.28 and 5.17) that change no result here.
void describe_ignored(OptionSet& set) {
  const auto ignore = [&](const char* why, std::initializer_list<const char*> names) {
    for (const char* name : names) set.ignore(name, why);
  };
  ignore("precision and memory are settled by --dtype and --backbone_dtype", {"fp16",
                                                                              "fp16_backend",
                                                                              "fp16_opt_level",
                                                                              "half_precision_backend",
                                                                              "bf16_full_eval",
                                                                              "fp16_full_eval",
                                                                              "tf32",
                                                                              "use_ipex",
                                                                              "jit_mode_eval",
                                                                              "torch_compile",
                                                                              "torch_compile_backend",
                                                                              "torch_compile_mode",
                                                                              "torchdynamo",
                                                                              "gradient_checkpointing",
                                                                              "gradient_checkpointing_kwargs",
                                                                              "auto_find_batch_size",
                                                                              "torch_empty_cache_steps",
                                                                              "eval_accumulation_steps",
                                                                              "eval_do_concat_batches",
                                                                              "batch_eval_metrics",
                                                                              "use_liger_kernel",
                                                                              "liger_kernel_config",
                                                                              "use_cache"});
  ignore("the device is chosen by --device",
         {"no_cuda", "use_cpu", "use_mps_device", "xpu_backend", "tpu_num_cores", "tpu_metrics_debug", "_n_gpu"});
  ignore("ranks are told by the launcher", {"local_rank",
                                            "ddp_backend",
                                            "ddp_find_unused_parameters",
                                            "ddp_bucket_cap_mb",
                                            "ddp_broadcast_buffers",
                                            "ddp_static_graph",
                                            "ddp_timeout",
                                            "sharded_ddp",
                                            "fsdp",
                                            "fsdp_config",
                                            "fsdp_min_num_params",
                                            "fsdp_transformer_layer_cls_to_wrap",
                                            "deepspeed",
                                            "accelerator_config",
                                            "parallelism_config",
                                            "mp_parameters",
                                            "average_tokens_across_devices",
                                            "log_on_each_node",
                                            "save_on_each_node",
                                            "log_level_replica",
                                            "eval_use_gather_object"});
  ignore("data is read and tokenised at once, on --threads threads",
         {"dataloader_num_workers", "dataloader_pin_memory", "dataloader_persistent_workers", "dataloader_prefetch_factor",
          "dataloader_multiprocessing_context", "dataloader_in_order", "preprocessing_num_workers", "overwrite_cache",
          "remove_unused_columns", "label_names", "length_column_name", "past_index"});
  ignore("nothing is padded here", {"pad_to_max_length", "ignore_pad_token_for_loss", "sortish_sampler"});
  ignore("it follows from the data and the model",
         {"dataset_config_name", "lang_name", "hidden_size", "config_name", "use_fast_tokenizer", "generation_config"});
  ignore("every run is deterministic and goes on where it stopped",
         {"full_determinism", "ignore_data_skip", "save_only_model", "restore_callback_states_from_checkpoint",
          "enable_jit_checkpoint"});
  ignore("logs go to stderr and to output.log",
         {"log_level", "run_name", "project", "trackio_space_id", "trackio_bucket_id", "trackio_static_space_id", "debug",
          "skip_memory_metrics", "include_inputs_for_metrics", "include_for_metrics", "include_num_input_tokens_seen",
          "logging_nan_inf_filter", "ray_scope", "use_legacy_prediction_loop"});
  ignore("nothing is uploaded", {"hub_model_id", "hub_strategy", "hub_token", "hub_private_repo", "hub_always_push",
                                 "hub_revision", "push_to_hub_model_id", "push_to_hub_organization", "push_to_hub_token"});
  ignore("--optim chooses among two forms of AdamW", {"adafactor", "optim_args", "optim_target_modules"});
  ignore("embeddings get no noise", {"neftune_noise_alpha"});
}

std::vector<std::string> all_schedule_names() {
  std::vector<std::string> names = schedule_names();
  names.insert(names.end(), metric_schedule_names().begin(), metric_schedule_names().end());
  return names;
}

}  // namespace

void describe(ModelOptions& o, OptionSet& set) {
  set.section("Model");
  set.add("model_name_or_path", &o.model_name_or_path, "folder with config.json and weights, a .gguf file, or a name on the hub");
  describe(o.hub, set);
  set.add("peft_model_id", &o.peft_model_id, "folder of a trained adapter, or its name on the hub");
  set.add("tokenizer_name", &o.tokenizer_name, "tokenizer folder, file or name on the hub, when it is not the model's own");
  set.add("dtype", &o.dtype,
          "compute type; auto is bf16 on a GPU and where the CPU multiplies it natively, else fp32; int8 is bf16 with "
          "--backbone_dtype int8")
      .choices({"fp32", "bf16", "auto", "int8"});
  set.add("backbone_dtype", &o.backbone_dtype,
          "how the frozen model's weights are held: as --dtype (same), in a type of their own, as a .gguf file has them (gguf), "
          "or "
          "rounded to 8 bits and multiplied as such (int8)")
      .choices({"same", "fp32", "fp16", "bf16", "gguf", "int8"});
  set.add("quantization", &o.quantization, "the same as --backbone_dtype int8");
  set.add("bf16", &o.bf16, "the same as --dtype bf16");
  set.add("device", &o.device, "where to compute; auto is a GPU if there is one that works, else the CPU")
      .rule("cpu|cuda|cuda:N|auto", [](const std::string& name) { return expected_device(name); });
  set.add("kernels", &o.kernels, "our own kernels, or plain operators of LibTorch as the reference that they are held to")
      .choices({"own", "plain"});
  set.add("cuda_graphs", &o.cuda_graphs, "record training steps on a GPU as CUDA graphs, one for each shape of batches");
  set.add("threads", &o.threads, "threads; 0 is OMP_NUM_THREADS, else one a physical core within affinity and cgroup quotas")
      .min(0)
      .max(4096);
}

void describe(ImageOptions& o, OptionSet& set) {
  set.section("Images");
  set.add(
      "visual", &o.visual,
      "what a model sees of images: patches:SIZE:SIDE (squares of SIZE pixels of an image of SIDE x SIDE, or SIDE as "
      "HEIGHTxWIDTH), a CLIP vision model's folder or name on the hub, features in FILE.h5 or FILE.safetensors; none: nothing");
  set.add("image_folder", &o.image_folder, "folder of the images' paths (default: that of the file which names them)");
}

void describe(DataOptions& o, OptionSet& set) {
  set.section("Task");
  set.add("task_name", &o.task_name, "a task by name (dept data list), its rows from the files below or the hub");
  set.add("task_file", &o.task_file, "tasks of your own, in the form of configs/tasks.yaml");
  set.add("add_prefix", &o.add_prefix, "put the task's name in front of each source");
  set.add("split_validation_test", &o.split_validation_test,
          "make validation and test data of a part of validation or train where a task has no labelled test data");
  set.add("k_shot_examples", &o.k_shot_examples, "train on so many examples, the same number of each class, drawn by seed")
      .alias("k_shot_example")
      .min(1);
  set.add("validation_split", &o.validation_split,
          "validate on this share of the training rows, drawn by --seed, the same of every label, where there are no validation "
          "data")
      .min(0)
      .max(1);
  set.add("original_quirks", &o.original_quirks, "do what the original's code does, to the letter, where it errs");
  set.section("Data");
  set.add("train_file", &o.task.train_file,
          "training data: csv, tsv, json, jsonl (each also as .gz) or parquet; several files: all their rows")
      .whole_values();
  set.add("validation_file", &o.task.validation_file, "validation data").whole_values();
  set.add("test_file", &o.task.test_file, "test data").whole_values();
  set.add("delimiter", &o.task.delimiter,
          "between the cells of a delimited file: one character, or tab (default: tab in .tsv, else a comma)");
  set.add("quoting", &o.task.quoting,
          "whether quotes enclose cells (minimal) or are plain characters (none) (default: none in .tsv)")
      .choices({"minimal", "none"});
  set.add("text_column", &o.task.text_column, "column of the text (source when there is none called text)");
  set.add("text_pair_column", &o.task.text_pair_column, "column of a second text");
  set.add("label_column", &o.task.label_column, "column of the label or answer (target when there is none called label)");
  set.add("image_column", &o.task.image_column,
          "column of each row's image: a path, or a name in a file of features (default: image, with --visual)");
  set.add("labels", &o.task.labels, "the labels, by commas (default: those of the training file)");
  set.add("label_words", &o.task.label_words, "what the model says for each label (default: the labels)");
  set.add("source_template", &o.task.source_template, "the input's text, columns in braces");
  set.add("metrics", &o.task.metrics, "metrics; the first one chooses the best model");
  set.add("causal_suffix", &o.causal_suffix, "text between source and answer for decoder-only models");
  set.add("target_start", &o.target_start,
          "what stands in front of a decoder-only model's target: the special tokens that the tokenizer puts there, or none")
      .choices({"tokenizer", "none"});
  set.add("target_end", &o.target_end,
          "token behind a decoder-only model's target: the tokenizer's pad token (its end token where it has none), eos or none")
      .choices({"pad", "eos", "none"});
  set.add("max_seq_length", &o.max_seq_length, "longest source in tokens: s, the rows of A").min(1).max(1 << 20);
  set.add("truncate_head", &o.truncate_head, "cut too long sources at their head instead of their tail");
  set.add("max_train_samples", &o.max_train_samples, "use the first so many rows for training").min(1);
  set.add("max_eval_samples", &o.max_eval_samples, "use the first so many rows for validation").min(1);
  set.add("max_predict_samples", &o.max_predict_samples, "use the first so many rows for testing").min(1);
}

namespace {

std::vector<std::string> method_names() {
  std::vector<std::string> names;
  for (const Method* method : methods()) names.emplace_back(method->peft_type);
  return names;
}

}  // namespace

void describe(AdapterOptions& o, OptionSet& set) {
  set.section("Adapter");
  set.add("peft_type", &o.peft_type, "decomposed (PROMPT_TUNING_LORA), vanilla (PROMPT_TUNING) or another prompt tuning")
      .choices(method_names());
  set.add("prefix_length", &o.prefix_length, "m, the tokens of the soft prompt").min(1).max(1 << 20);
  set.add("num_transformer_submodules", &o.num_transformer_submodules,
          "2, encoder-decoder: another prompt of m tokens in front of the decoder's input")
      .min(1)
      .max(2);
  set.add("r", &o.r, "rank of A·B").min(0).max(1 << 16);
  set.add("lora_alpha", &o.lora_alpha, "A·B is scaled by lora_alpha / sqrt(r)");
  set.add("encoder_hidden_size", &o.encoder_hidden_size,
          "RESIDUAL_PROMPT, P_TUNING: units of the network that makes the prompt (default: 800, the model's width)")
      .min(1)
      .max(1 << 16);
  set.add("adapter_dropout", &o.adapter_dropout, "ADEPT: of the offset's inner values, in training (default: 0.1)")
      .min(0)
      .max(0.99);
  set.add("projection_seed", &o.projection_seed, "ULPT: seed of the frozen random matrix").min(0);
  set.add("backbone_dropout", &o.backbone_dropout,
          "0: the frozen model drops nothing out in training (default: as its config has it)")
      .min(0)
      .max(0);
  set.add("prompt_tuning_init", &o.prompt_tuning_init, "the prompt starts as embeddings of a text or at random")
      .choices({"TEXT", "RANDOM"});
  set.add("text_init", &o.text_init, "false: the same as --prompt_tuning_init RANDOM");
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
  set.add("visual_embedding", &o.visual_embedding,
          "how visual tokens become embeddings: VL-Adapter's (clip_t5) or a linear layer with a vector for each place (linear) "
          "(default: clip_t5 for encoder-decoders, else linear)")
      .choices({"clip_t5", "linear"});
  set.add("save_lora_embeddings", &o.save_lora_embeddings, "false: leave A and B out of the adapter's files");
  set.add("load_lora_embeddings", &o.load_lora_embeddings, "false: A and B of --peft_model_id start anew");
  set.add("load_lora_embedding_B", &o.load_lora_embedding_B, "false: B alone starts anew");
}

void describe(OptimizerOptions& o, OptionSet& set) {
  set.section("Optimiser");
  set.add("learning_rate", &o.learning_rate, "of the soft prompt").min(0);
  set.add("lora_embedding_lr", &o.lora_embedding_lr, "of A and B (default: learning_rate)").min(0);
  set.add("head_learning_rate", &o.head_learning_rate, "of a classification head (default: learning_rate)").min(0);
  set.add("visual_learning_rate", &o.visual_learning_rate, "of the embedding of images (default: learning_rate)").min(0);
  set.add("optim", &o.optim, "AdamW with eps before (adamw_hf) or after (adamw_torch) bias correction");
  set.add("adam_beta1", &o.adam_beta1, "decay of the first moment").min(0).max(1);
  set.add("adam_beta2", &o.adam_beta2, "decay of the second moment").min(0).max(1);
  set.add("adam_epsilon", &o.adam_epsilon, "added to the second moment's root").min(0);
  set.add("weight_decay", &o.weight_decay, "has an effect only with --apply_weight_decay").min(0);
  set.add("apply_weight_decay", &o.apply_weight_decay, "apply --weight_decay, which the original ignores");
  set.add("max_grad_norm", &o.max_grad_norm, "gradients are clipped to this norm").min(0);
  set.add("label_smoothing_factor", &o.label_smoothing_factor, "share of the loss that is spread over all answers").min(0).max(1);
  set.add("class_weights", &o.class_weights,
          "how much each label counts in the loss of a classification head: balanced (n / (labels x its rows)), or a JSON file "
          "{label: weight}");
}

void describe(ScheduleOptions& o, OptionSet& set) {
  set.section("Schedule");
  set.add("max_steps", &o.max_steps, "optimiser steps; -1: num_train_epochs decides").min(-1);
  set.add("num_train_epochs", &o.num_train_epochs, "passes over the training data").min(0).max(1e6);
  set.add("per_device_train_batch_size", &o.per_device_train_batch_size, "examples of a micro-batch on each rank")
      .alias("per_gpu_train_batch_size")
      .min(1)
      .max(1 << 20);
  set.add("gradient_accumulation_steps", &o.gradient_accumulation_steps, "micro-batches of a step").min(1).max(1 << 20);
  set.add("lr_scheduler_type", &o.lr_scheduler_type, "course of the learning rates after warm-up").choices(all_schedule_names());
  set.add("lr_scheduler_kwargs", &o.lr_scheduler_kwargs, "its arguments as a JSON object, under transformers' names");
  set.add("warmup_steps", &o.warmup_steps, "steps over which the learning rates rise from 0").min(0);
  set.add("warmup_ratio", &o.warmup_ratio, "the same as a share of all steps, when warmup_steps is 0").min(0).max(1);
  set.add("seed", &o.seed, "of inits, order and dropout").min(0);
  set.add("data_seed", &o.data_seed, "of the order alone").min(0);
  set.add("train_sampling_strategy", &o.train_sampling_strategy,
          "order of the examples: the original's (random), the file's (sequential), or a random one with like lengths together")
      .choices({"random", "sequential", "group_by_length"});
  set.add("group_by_length", &o.group_by_length, "the same as --train_sampling_strategy group_by_length");
  set.add("dataloader_drop_last", &o.dataloader_drop_last, "leave out an epoch's last batch where it is short");
}

void describe(EvaluationOptions& o, OptionSet& set) {
  set.section("Evaluation");
  set.add("per_device_eval_batch_size", &o.per_device_eval_batch_size,
          "examples of an evaluation batch, over which its loss is the mean")
      .alias("per_gpu_eval_batch_size")
      .min(1)
      .max(1 << 20);
  set.add("predict_by", &o.predict_by, "write the answer (generate) or choose the likeliest label (score)")
      .choices({"generate", "score"});
  set.add("predict_with_generate", &o.predict_with_generate, "false: evaluate the loss alone");
  set.add("prediction_loss_only", &o.prediction_loss_only, "the same as --predict_with_generate false");
  set.add("generation_max_length", &o.generation_max_length, "longest answer in tokens (encoder-decoder: its start token counts)")
      .min(1)
      .max(1 << 16);
  set.add("generation_num_beams", &o.generation_num_beams, "beams of the search; 1: greedy").min(1).max(1 << 10);
  set.add("max_new_tokens", &o.max_new_tokens, "longest answer in new tokens; wins over generation_max_length")
      .min(1)
      .max(1 << 16);
  set.section("Evaluation while training");
  set.add("eval_strategy", &o.eval_strategy, "when to evaluate while training").choices(when).alias("evaluation_strategy");
  set.add("eval_steps", &o.eval_steps, "steps between evaluations (default: logging_steps)").min(1);
  set.add("eval_delay", &o.eval_delay, "no evaluation before so many steps (or epochs, as --eval_strategy counts)").min(0);
  set.add("eval_on_start", &o.eval_on_start, "evaluate before the first step too");
  set.add("load_best_model_at_end", &o.load_best_model_at_end, "end with the best checkpoint instead of the last");
  set.add("metric_for_best_model", &o.metric_for_best_model,
          "what is best (default: the task's first metric); loss: the smaller the better");
  set.add("greater_is_better", &o.greater_is_better, "of that metric (default: yes, unless it is the loss)");
  set.add("early_stopping_patience", &o.early_stopping_patience, "stop after so many evaluations without a better one").min(1);
  set.add("early_stopping_threshold", &o.early_stopping_threshold, "what is better by less does not count").min(0);
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
  set.add("save_strategy", &o.save_strategy, "when to write checkpoints; best: when an evaluation is better than those before")
      .choices({"no", "steps", "epoch", "best"});
  set.add("save_steps", &o.save_steps, "steps between checkpoints").min(1);
  set.add("save_total_limit", &o.save_total_limit, "keep so many checkpoints; the best and the newest always stay").min(1);
  set.add("save_safetensors", &o.save_safetensors, "false: the adapter as adapter_model.bin, for torch.load");
  set.add("resume_from_checkpoint", &o.resume_from_checkpoint,
          "a checkpoint's folder, or true: the newest of output_dir, which must be there (a run given again goes on anyhow)");
  set.add("report_to", &o.report_to, "where else logs go").choices({"tensorboard", "none", "all"});
  set.add("logging_dir", &o.logging_dir, "folder of TensorBoard's events (default: runs in output_dir)");
  set.add("report", &o.report, "write report.html at the end (false: not)");
  set.add("disable_tqdm", &o.disable_tqdm, "no progress lines");
  set.add("push_to_hub", &o.push_to_hub, "refused: nothing is uploaded");
}

void describe(TrainOptions& o, OptionSet& set) {
  describe(o.model, set);
  describe(o.model.images, set);
  describe(o.data, set);
  describe(o.adapter, set);
  describe(o.optimizer, set);
  describe(o.schedule, set);
  describe(o.evaluation, set);
  describe(o.output, set);
  describe_ignored(set);
}

ModelContext make_context(const ModelOptions& o) {
  ModelContext context;
  context.device = open_device(o.device);
  context.storage = parse_storage(o.quantization || o.dtype == "int8" ? "int8" : o.backbone_dtype);
  const bool int8 = context.storage == Storage::int8;
  const bool bf16 = int8 || (o.bf16 && o.dtype == "fp32") || (o.dtype == "auto" && !context.device.is_cpu());
  context.compute = parse_dtype(bf16 ? "bf16" : o.dtype);
  if ((int8 || context.storage == Storage::gguf) && !context.device.is_cpu())
    fail(Code::usage, "backbone_dtype", "same, fp32, fp16 or bf16 on a GPU", int8 ? "int8" : "gguf");
  if (int8 && !cpu_has_int8())
    fail(Code::usage, "backbone_dtype", "same, fp32, fp16, bf16 or gguf on a CPU without AVX512-BF16 and AVX512-VNNI", "int8");
  context.kernels = o.kernels == "plain" ? Kernels::plain : Kernels::own;
  if (int8 && context.kernels == Kernels::plain)
    fail(Code::usage, "kernels", "own with weights of 8 bits, for which LibTorch has no operators", "plain");
  context.graphs = o.cuda_graphs;
  if (context.graphs && context.device.is_cpu()) fail(Code::usage, "cuda_graphs", "a GPU (--device cuda)", "cpu");
  context.threads = o.threads > 0 ? static_cast<int>(o.threads) : default_threads();
  return context;
}

Call make_call(int64_t seed) {
  Call call;
  call.seeds = {static_cast<uint64_t>(seed)};
  return call;
}

}  // namespace dept
