// Qwen 2 and 2.5 (Yang et al., arXiv 2407.10671): biases at queries, keys and values. Qwen 3 (arXiv 2505.09388): norms of queries
// and keys in their place. In both the later layers may slide.
#include "models/llama_families.h"

namespace dept {
namespace {

void add_windows(const Json& config, const std::string& where, LlamaConfig& c) {
  const bool on = value_or<bool>(config, "use_sliding_window", false, where);
  const int64_t window = on ? read_window(config, "sliding_window", 4096, where) : 0,
                first = value_or<int64_t>(config, "max_window_layers", 28, where);
  set_windows(config, where, window, c, [&](int64_t layer) { return window > 0 && layer >= first; });
}

void add_norms_and_windows(const Json& config, const std::string& where, LlamaConfig& c) {
  c.query_key_norms = QueryKeyNorms::each_head;
  add_windows(config, where, c);
}

}  // namespace

const LlamaFamily qwen2_family = {"qwen2", {.max_positions = 32768, .qkv_bias = true}, add_windows};
const LlamaFamily qwen3_family = {"qwen3", {.head_dim = 128, .max_positions = 32768}, add_norms_and_windows};

}  // namespace dept
