// Phi 3, 3.5, 4 and 4-mini (Abdin et al., arXiv 2404.14219): fused matrices, rotations of a part of each head, and others for
// texts beyond the original length (LongRoPE).
#include "models/llama_families.h"

namespace dept {
namespace {

constexpr RopeDefaults rope = {.partial = true};

// "su" and "yarn" were the names of LongRoPE in these models; what is not said of the original length is 4096.
Json with_longrope(Json config) {
  for (const char* key : {"rope_scaling", "rope_parameters"})
    if (const auto found = config.find(key); found != config.end() && found->is_object())
      for (const char* type : {"type", "rope_type"})
        if (found->contains(type) && ((*found)[type] == "su" || (*found)[type] == "yarn")) (*found)[type] = "longrope";
  const auto said = config.find("original_max_position_embeddings");
  if (said == config.end() || said->is_null()) config["original_max_position_embeddings"] = 4096;
  return config;
}

void read_phi3(const Json& config, const std::string& where, LlamaConfig& c) {
  c.fused = true;
  c.residual_dropout = read_dropout(config, "resid_pdrop", 0, where);
  c.rotations = {read_rope_scaling(with_longrope(config), c.head_dim, where, rope)};
  if (const int64_t window = read_window(config, "sliding_window", 0, where); window > 0)
    for (LlamaLayer& layer : c.layer) layer.window = window;
}

}  // namespace

const LlamaFamily phi3_family = {"phi3", {.eps = 1e-5, .max_positions = 4096, .own_heads = true, .rope = rope}, read_phi3};

}  // namespace dept
