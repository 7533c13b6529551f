#include "cli/command.h"

namespace dept {

std::span<const Command> commands() {
  static const Command table[] = {
      {"train", "train, evaluate, predict", run_train},
      {"sweep", "train many configurations, keep the best; mean and deviation over seeds", run_sweep},
      {"eval", "metrics of an adapter, or the untrained model, on a file", run_eval},
      {"predict", "text in, predictions and label scores out", run_predict},
      {"generate", "free continuations of prompts, by lines", run_generate},
      {"score", "how likely a model finds given text, by lines", run_score},
      {"serve", "one model and many adapters over HTTP, in OpenAI's form", run_serve},
      {"export", "a trained adapter for other programs: a prompt for PEFT, or embeddings of texts", run_export},
      {"report", "one HTML page on a run, several runs or a sweep", run_report},
      {"bench", "measured figures of training steps, answers and a server", run_bench, {"train", "eval", "load", "serve"}},
      {"data",
       "the named tasks: list them, fetch their data, show examples, score predictions",
       run_data,
       {"list", "fetch", "show", "score"}},
      {"model", "what a model, an adapter or a weight file holds; models of the hub", run_model, {"show", "fetch"}},
      {"tokenize", "text to ids, and ids to text", run_tokenize},
      {"doctor", "what this machine offers: CPU, memory, disk, measured speed", run_doctor},
      {"completion", "the shell's completion of these commands and their flags", run_completion, {"bash", "zsh", "fish"}},
  };
  return table;
}

}  // namespace dept
