#include "bench/shapes.h"

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

struct T5Shape {
  const char* name;
  int64_t d_model, d_ff, layers, heads, d_kv = 64;
};
constexpr T5Shape t5_shapes[] = {{"t5-small", 512, 2048, 6, 8},
                                 {"t5-base", 768, 3072, 12, 12},
                                 {"t5-large", 1024, 4096, 24, 16},
                                 {"t5-3b", 1024, 16384, 24, 32, 128}};

struct LlamaShape {
  const char* name;
  int64_t hidden, intermediate, layers, heads, kv_heads, vocab, positions;
  bool tied;
};
constexpr LlamaShape llama_shapes[] = {{"smollm2-135m", 576, 1536, 30, 9, 3, 49152, 8192, true},
                                       {"llama-2-7b", 4096, 11008, 32, 32, 32, 32000, 4096, false}};

Json t5_config(const T5Shape& shape) {
  return {{"model_type", "t5"},       {"d_model", shape.d_model},    {"d_ff", shape.d_ff},
          {"d_kv", shape.d_kv},       {"num_layers", shape.layers},  {"num_decoder_layers", shape.layers},
          {"num_heads", shape.heads}, {"vocab_size", 32128},         {"feed_forward_proj", "relu"},
          {"dropout_rate", 0.1},      {"tie_word_embeddings", true}, {"pad_token_id", 0},
          {"eos_token_id", 1},        {"decoder_start_token_id", 0}};
}

Json llama_config(const LlamaShape& shape) {
  return {{"model_type", "llama"},
          {"hidden_size", shape.hidden},
          {"intermediate_size", shape.intermediate},
          {"num_hidden_layers", shape.layers},
          {"num_attention_heads", shape.heads},
          {"num_key_value_heads", shape.kv_heads},
          {"vocab_size", shape.vocab},
          {"max_position_embeddings", shape.positions},
          {"rms_norm_eps", 1e-5},
          {"tie_word_embeddings", shape.tied},
          {"bos_token_id", 1},
          {"eos_token_id", 2},
          {"pad_token_id", 2}};
}

}  // namespace

std::vector<std::string> shape_names() {
  std::vector<std::string> names;
  for (const LlamaShape& shape : llama_shapes) names.push_back(shape.name);
  for (const T5Shape& shape : t5_shapes) names.push_back(shape.name);
  return names;
}

Json shape_config(const std::string& name) {
  for (const LlamaShape& shape : llama_shapes)
    if (name == shape.name) return llama_config(shape);
  for (const T5Shape& shape : t5_shapes)
    if (name == shape.name) return t5_config(shape);
  fail(Code::usage, "--shape", join(shape_names(), ", "), quote(name));
}

}  // namespace dept
