// The original's main use, its flags to the letter.
#pragma once

#include <string>
#include <vector>

#include "support/typed.h"

namespace dept {

/// Behind `train`, without --output_dir.
inline std::vector<std::string> original_flags(const std::string& task) {
  return typed(
      "--peft_type PROMPT_TUNING_LORA --lora_embedding_lr 5e-3 --learning_rate 3e-1 --prefix_length 40 --r 45"
      " --dataset_config_name en --model_name_or_path t5-base --do_train --do_eval --do_predict --per_device_train_batch_size 32"
      " --per_device_eval_batch_size 32 --max_seq_length 256 --save_strategy steps --evaluation_strategy steps"
      " --max_steps 40000 --eval_steps 1000 --save_steps 1000 --warmup_steps 500 --weight_decay 1e-5 --load_best_model_at_end"
      " --save_total_limit 1",
      {"--task_name", task});
}

}  // namespace dept
