#include "bench/shapes.h"

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

struct T5Shape {
  const char* name;
  int64_t d_model, d_ff, layers, heads;
};
constexpr T5Shape t5_shapes[] = {{"t5-small", 512, 2048, 6, 8}, {"t5-base", 768, 3072, 12, 12}, {"t5-large", 1024, 4096, 24, 16}};
constexpr const char* smollm2 = "smollm2-135m";

Json t5_config(const T5Shape& shape) {
  return {{"model_type", "t5"},          {"d_model", shape.d_model},
          {"d_ff", shape.d_ff},          {"d_kv", 64},
          {"num_layers", shape.layers},  {"num_decoder_layers", shape.layers},
          {"num_heads", shape.heads},    {"vocab_size", 32128},
          {"feed_forward_proj", "relu"}, {"dropout_rate", 0.1},
          {"tie_word_embeddings", true}, {"pad_token_id", 0},
          {"eos_token_id", 1},           {"decoder_start_token_id", 0}};
}

Json smollm2_config() {
  return {
      {"model_type", "llama"},    {"hidden_size", 576},       {"intermediate_size", 1536},   {"num_hidden_layers", 30},
      {"num_attention_heads", 9}, {"num_key_value_heads", 3}, {"vocab_size", 49152},         {"max_position_embeddings", 8192},
      {"rope_theta", 100000.0},   {"rms_norm_eps", 1e-5},     {"tie_word_embeddings", true}, {"bos_token_id", 1},
      {"eos_token_id", 2},        {"pad_token_id", 2}};
}

}  // namespace

std::vector<std::string> shape_names() {
  std::vector<std::string> names = {smollm2};
  for (const T5Shape& shape : t5_shapes) names.push_back(shape.name);
  return names;
}

Json shape_config(const std::string& name) {
  if (name == smollm2) return smollm2_config();
  for (const T5Shape& shape : t5_shapes)
    if (name == shape.name) return t5_config(shape);
  fail(Code::usage, "--shape", join(shape_names(), ", "), quote(name));
}

}  // namespace dept
