// SmolLM3 (Bakouch et al. 2025): layers without rotation among the others.
#include "models/llama_families.h"

namespace dept {
namespace {

// no_rope_layers has a 1 where a layer rotates; else every no_rope_layer_interval-th does not.
bool rotates(const Json& config, int64_t layer, const std::string& where) {
  const auto found = config.find("no_rope_layers");
  if (found != config.end() && !found->is_null()) return (*found)[static_cast<size_t>(layer)].get<int64_t>() != 0;
  return (layer + 1) % value_or<int64_t>(config, "no_rope_layer_interval", 4, where) != 0;
}

void check_rope_layers(const Json& config, int64_t layers, const std::string& where) {
  if (value_or<int64_t>(config, "no_rope_layer_interval", 4, where) < 1)
    fail(Code::bad_input, where + ": no_rope_layer_interval", "at least 1", config["no_rope_layer_interval"].dump());
  if (!config.contains("no_rope_layers") || config["no_rope_layers"].is_null()) return;
  const auto said = require<std::vector<int64_t>>(config, "no_rope_layers", where);
  if (static_cast<int64_t>(said.size()) < layers)
    fail(Code::bad_input, where + ": no_rope_layers", str(layers, " numbers, one a layer"), str(said.size()));
}

void read_smollm3(const Json& config, const std::string& where, LlamaConfig& c) {
  check_rope_layers(config, c.layers, where);
  for (int64_t i = 0; i < c.layers; ++i)
    if (!rotates(config, i, where)) c.layer[i].rotation = -1;
  const bool on = value_or<bool>(config, "use_sliding_window", false, where);
  const int64_t window = on ? read_window(config, "sliding_window", 0, where) : 0;
  set_windows(config, where, window, c, [&](int64_t layer) { return window > 0 && c.layer[layer].rotation < 0; });
}

}  // namespace

const LlamaFamily smollm3_family = {"smollm3", {.max_positions = 32768, .tied = true, .rope = {.theta = 2e6}}, read_smollm3};

}  // namespace dept
