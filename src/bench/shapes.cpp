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

struct Gpt2Shape {
  const char* name;
  int64_t hidden, layers, heads;
};
constexpr Gpt2Shape gpt2_shapes[] = {{"gpt2", 768, 12, 12}, {"gpt2-medium", 1024, 24, 16}, {"gpt2-large", 1280, 36, 20}};

struct BertShape {
  const char* name;
  const char* type;
  int64_t hidden, intermediate, layers, heads, vocab, positions, types, pad;
};
constexpr BertShape bert_shapes[] = {{"bert-base", "bert", 768, 3072, 12, 12, 30522, 512, 2, 0},
                                     {"bert-large", "bert", 1024, 4096, 24, 16, 30522, 512, 2, 0},
                                     {"roberta-base", "roberta", 768, 3072, 12, 12, 50265, 514, 1, 1},
                                     {"roberta-large", "roberta", 1024, 4096, 24, 16, 50265, 514, 1, 1}};

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

Json gpt2_config(const Gpt2Shape& shape) {
  return {{"model_type", "gpt2"}, {"n_embd", shape.hidden}, {"n_layer", shape.layers}, {"n_head", shape.heads},
          {"vocab_size", 50257},  {"n_positions", 1024},    {"embd_pdrop", 0.1},       {"attn_pdrop", 0.1},
          {"resid_pdrop", 0.1},   {"bos_token_id", 50256},  {"eos_token_id", 50256}};
}

Json bert_config(const BertShape& shape) {
  return {{"model_type", shape.type},
          {"hidden_size", shape.hidden},
          {"intermediate_size", shape.intermediate},
          {"num_hidden_layers", shape.layers},
          {"num_attention_heads", shape.heads},
          {"vocab_size", shape.vocab},
          {"max_position_embeddings", shape.positions},
          {"type_vocab_size", shape.types},
          {"hidden_act", "gelu"},
          {"layer_norm_eps", 1e-12},
          {"pad_token_id", shape.pad}};
}

// The first of the shapes that has this name, as a configuration.
template <class Shapes, class Make>
bool find_shape(const Shapes& shapes, const std::string& name, Make make, Json& config) {
  for (const auto& shape : shapes)
    if (name == shape.name) {
      config = make(shape);
      return true;
    }
  return false;
}

}  // namespace

std::vector<std::string> shape_names() {
  std::vector<std::string> names;
  const auto add = [&](const auto& shapes) {
    for (const auto& shape : shapes) names.push_back(shape.name);
  };
  add(t5_shapes);
  add(gpt2_shapes);
  add(llama_shapes);
  add(bert_shapes);
  return names;
}

Json shape_config(const std::string& name) {
  Json config;
  if (find_shape(t5_shapes, name, t5_config, config) || find_shape(gpt2_shapes, name, gpt2_config, config) ||
      find_shape(llama_shapes, name, llama_config, config) || find_shape(bert_shapes, name, bert_config, config))
    return config;
  fail(Code::usage, "--shape", join(shape_names(), ", "), quote(name));
}

}  // namespace dept
