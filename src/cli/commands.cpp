#include "cli/command.h"

namespace dept {

std::span<const Command> commands() {
  static constexpr Command table[] = {
      {"generate", "free continuations of prompts, by lines", run_generate},
      {"score", "how likely a model finds given text, by lines", run_score},
      {"tokenize", "text to ids, and ids to text", run_tokenize},
      {"model", "what a model, an adapter, a safetensors or GGUF file holds", run_model},
      {"doctor", "what this machine offers: CPU, memory, disk, measured speed", run_doctor},
  };
  return table;
}

}  // namespace dept
