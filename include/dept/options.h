// What can be asked of a model, its data, an adapter and a run, in the names and defaults of `dept train`'s options.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dept/task.h"

namespace dept {

/// Flags that only a model on the hub wants.
struct HubFlags {
  std::string revision = "main";
  std::string cache_dir;  ///< "": what the environment says
};

/// Images beside texts.
struct ImageOptions {
  std::string visual;        ///< where their visual tokens come from, as --visual says; "": texts alone
  std::string visual_path;   ///< on disk, of a name on the hub; set by place_model
  std::string image_folder;  ///< of paths that are not absolute; "": the folder of the file that names them
};

struct ModelOptions {
  std::string model_name_or_path;  ///< as given: a path, or a name on the hub
  HubFlags hub;
  std::string model_path, tokenizer_path;  ///< on disk; set by place_model
  std::string peft_model_id;               ///< start from (train) or use (eval, predict) this adapter
  std::string tokenizer_name;
  std::string dtype = "fp32";
  std::string backbone_dtype = "same";
  bool bf16 = false;
  bool quantization = false;
  std::string device = "cpu";
  std::string kernels = "own";
  bool cuda_graphs = false;
  int64_t threads = 0;  ///< 0: the physical cores
  ImageOptions images;

  const std::string& path() const { return model_path.empty() ? model_name_or_path : model_path; }
};

struct DataOptions {
  FileTaskOptions task;
  std::optional<std::string> task_name, task_file;  ///< a named task: its rows come from the files above, else from the hub
  std::string cache_dir;                            ///< the hub's, of ModelOptions
  bool add_prefix = false;
  bool split_validation_test = true;
  std::optional<int64_t> k_shot_examples;
  std::optional<double> validation_split;  ///< this share of the training rows validates
  bool original_quirks = false;            ///< what the original's code does, to the letter, where it errs (docs/parity.md)
  std::string causal_suffix = " Label : ";
  std::string target_start = "tokenizer";  ///< in front of a decoder-only model's target: the tokenizer's special tokens, or none
  std::string target_end = "pad";          ///< what stands behind a decoder-only model's target: pad (else eos), eos or none
  int64_t max_seq_length = 256;
  bool truncate_head = false;
  bool truncate = false;  ///< of eval and predict
  std::optional<int64_t> max_train_samples, max_eval_samples, max_predict_samples;

  bool named() const { return task_name || task_file; }
};

struct AdapterOptions {
  std::string peft_type = "PROMPT_TUNING_LORA";
  int64_t prefix_length = 100;
  int64_t num_transformer_submodules = 1;
  int64_t r = 30;
  double lora_alpha = 8;
  int64_t encoder_hidden_size = 0;  ///< 0: the model's width
  double adapter_dropout = 0;
  int64_t projection_seed = 42;
  std::optional<double> backbone_dropout;  ///< 0: none in the frozen model; absent: its own
  std::string prompt_tuning_init = "TEXT";
  std::optional<bool> text_init;  ///< the original's name: false is prompt_tuning_init RANDOM
  std::string prompt_tuning_init_text = "Classify this text is postive or not:";
  std::string delta_alignment = "end";
  std::optional<std::string> task_type;         ///< absent: what the model is for; an encoder's is SEQ_CLS
  std::optional<std::string> pooling;           ///< absent: first for encoders, last for decoder-only models
  std::optional<std::string> visual_embedding;  ///< absent: clip_t5 for encoder-decoders, linear for decoder-only models
  bool save_lora_embeddings = true;
  std::optional<bool> load_lora_embeddings, load_lora_embedding_B;  ///< absent: as the adapter's file says, else true
};

struct OptimizerOptions {
  double learning_rate = 5e-5;
  std::optional<double> lora_embedding_lr;     ///< absent: A and B train at learning_rate
  std::optional<double> head_learning_rate;    ///< absent: a classification head trains at learning_rate
  std::optional<double> visual_learning_rate;  ///< absent: a visual embedding trains at learning_rate
  std::string optim = "adamw_hf";
  double adam_beta1 = 0.9, adam_beta2 = 0.999, adam_epsilon = 1e-6;
  double weight_decay = 0;
  bool apply_weight_decay = false;
  double max_grad_norm = 1;
  double label_smoothing_factor = 0;
  std::string class_weights;  ///< of a classification head's loss: "balanced" or a JSON file
};

struct ScheduleOptions {
  int64_t max_steps = -1;
  double num_train_epochs = 3;
  int64_t per_device_train_batch_size = 8;
  int64_t gradient_accumulation_steps = 1;
  std::string lr_scheduler_type = "linear";
  std::string lr_scheduler_kwargs;  ///< a JSON object
  int64_t warmup_steps = 0;
  double warmup_ratio = 0;
  int64_t seed = 42;
  std::optional<int64_t> data_seed;
  std::string train_sampling_strategy = "random";
  bool group_by_length = false;  ///< the same as that strategy
  bool dataloader_drop_last = false;
};

struct EvaluationOptions {
  int64_t per_device_eval_batch_size = 8;
  std::string eval_strategy = "no";
  std::optional<int64_t> eval_steps;  ///< absent: logging_steps
  double eval_delay = 0;
  bool eval_on_start = false;
  std::string predict_by = "generate";
  bool predict_with_generate = true;
  bool prediction_loss_only = false;
  int64_t generation_max_length = 20;
  int64_t generation_num_beams = 1;
  std::optional<int64_t> max_new_tokens;
  bool load_best_model_at_end = false;
  std::string metric_for_best_model;      ///< empty: the task's first
  std::optional<bool> greater_is_better;  ///< absent: unless it is the loss
  std::optional<int64_t> early_stopping_patience;
  double early_stopping_threshold = 0;
};

struct OutputOptions {
  std::string output_dir;
  bool overwrite_output_dir = false;
  bool do_train = false, do_eval = false, do_predict = false;
  std::string logging_strategy = "steps";
  int64_t logging_steps = 500;
  bool logging_first_step = false;
  std::string save_strategy = "steps";
  int64_t save_steps = 500;
  std::optional<int64_t> save_total_limit;
  bool save_safetensors = true;
  std::optional<std::string> resume_from_checkpoint;
  std::vector<std::string> report_to = {"tensorboard"};
  std::string logging_dir;  ///< empty: runs in output_dir
  bool report = true;       ///< write report.html at the end
  std::string command;      ///< the command line as typed, for run.json; no option
  bool disable_tqdm = false;
  bool push_to_hub = false;

  bool reports_to_tensorboard() const;
};

struct TrainOptions {
  ModelOptions model;
  DataOptions data;
  AdapterOptions adapter;
  OptimizerOptions optimizer;
  ScheduleOptions schedule;
  EvaluationOptions evaluation;
  OutputOptions output;
};

}  // namespace dept
