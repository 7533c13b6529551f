// The tiny Llama with the tokenizer of the recipes, and a training command of few steps on it.
#pragma once

#include <string>
#include <vector>

#include "support/typed.h"
#include "unit/base/scratch.h"

namespace dept {

inline void put_tiny_model(const fs::path& folder) {
  const fs::path data = DEPT_TEST_DATA;
  fs::copy(data / "parity/data/models/llama-gqa-tied", folder);
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"})
    fs::copy(data / "recipe/tiny" / name, folder / name, fs::copy_options::overwrite_existing);
}

/// `more` comes last, so that its flags hold over those named here.
inline std::vector<std::string> tiny_training(const fs::path& model, const fs::path& out, const std::vector<std::string>& more) {
  std::vector<std::string> words = typed("train --do_train --max_steps 2 --prefix_length 2 --r 1 --threads 1 --max_seq_length 48",
                                         {"--output_dir", out, "--model_name_or_path", model});
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

}  // namespace dept
