// Nothing of a model is left unread in silence: every family in every container with a tensor too many, with each tensor that is
// rightly unread, and with fields of a configuration that nothing here computes.
#include <gmock/gmock.h>

#include <cstring>
#include <limits>

#include "dept/tensorio/gguf.h"
#include "support.h"
#include "unit/tensorio/build.h"

namespace dept::parity {
namespace {

using testing::HasSubstr;

struct Unread {
  std::string folder, stranger;      // a name as the family's own tensors have them
  std::vector<std::string> rightly;  // as published checkpoints have them
};
void PrintTo(const Unread& unread, std::ostream* out) {
  *out << unread.folder;
}

const std::vector<std::string> rotary = {"model.layers.0.self_attn.rotary_emb.inv_freq",
                                         "model.layers.1.self_attn.rotary_emb.inv_freq", "model.rotary_emb.inv_freq",
                                         "score.weight"};
const std::vector<std::string> t5 = {"decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",
                                     "classification_head.dense.weight", "classification_head.dense.bias",
                                     "classification_head.out_proj.weight", "classification_head.out_proj.bias"};

void write_weights(const fs::path& folder, const std::string& container, const NamedTensors& tensors) {
  if (container == "safetensors") return save_safetensors(folder / "model.safetensors", tensors);
  if (container == "bin") return save_torch_file(folder / "pytorch_model.bin", tensors);
  Json map;
  for (const size_t half : {0, 1}) {
    NamedTensors part;
    const std::string file = str("model-", half, ".safetensors");
    for (size_t i = half; i < tensors.size(); i += 2) {
      part.push_back(tensors[i]);
      map[tensors[i].first] = file;
    }
    save_safetensors(folder / file, part);
  }
  write_atomic(folder / "model.safetensors.index.json", Json{{"weight_map", map}}.dump());
}

class UnreadTensors : public testing::TestWithParam<std::tuple<Unread, std::string>> {
 protected:
  void load_with(const std::vector<std::string>& names) const {
    const auto& [family, container] = GetParam();
    const Scratch scratch;
    const auto file = open_weights(data(family.folder));
    NamedTensors tensors;
    for (const TensorInfo& info : file->tensors()) tensors.emplace_back(info.name, file->read(info.name));
    for (const std::string& name : names)
      if (file->find(name) == nullptr) tensors.emplace_back(name, at::ones({2, 3}));
    write_weights(scratch.path(), container, tensors);
    fs::copy_file(data(family.folder) / "config.json", scratch / "config.json");
    load_backbone(scratch.path(), context(at::kFloat));
  }
};

TEST_P(UnreadTensors, EndTheRunByName) {
  const std::string& stranger = std::get<0>(GetParam()).stranger;
  EXPECT_THAT(error_of(Code::bad_input, [&] { load_with({stranger}); }),
              HasSubstr('"' + stranger + "\"] expected tensors of a "));
  EXPECT_THAT(error_of(Code::bad_input, [&] { load_with({"zeros", stranger, "ones.weight"}); }), HasSubstr("(and 2 more)"));
}

TEST_P(UnreadTensors, ThatAreRightlySoPass) {
  load_with(std::get<0>(GetParam()).rightly);
}

INSTANTIATE_TEST_SUITE_P(
    Families, UnreadTensors,
    testing::Combine(
        testing::Values(
            Unread{"families/gpt2",
                   "transformer.h.1.crossattention.c_attn.weight",
                   {"transformer.h.0.attn.bias", "transformer.h.1.attn.masked_bias", "score.weight"}},
            Unread{"families/gpt2-gelu", "h.1.attn.bias.scale", {"h.0.attn.bias", "h.1.attn.masked_bias"}},
            Unread{"families/llama", "model.layers.1.self_attn.q_proj.bias", rotary},
            Unread{"families/mistral", "model.layers.1.self_attn.o_proj.weight_scale", rotary},
            Unread{"families/qwen2", "model.layers.1.self_attn.q_norm.weight", rotary},
            Unread{"families/qwen3", "model.layers.1.self_attn.q_norm.bias", rotary},
            Unread{"families/gemma2", "model.layers.1.self_attn.q_norm.weight", rotary},
            Unread{"families/olmo2", "model.layers.0.input_layernorm.weight", rotary},
            Unread{"families/phi3", "model.layers.0.self_attn.q_proj.weight", rotary},
            Unread{"families/gpt_neox",
                   "gpt_neox.layers.1.attention.query.weight",
                   {"gpt_neox.layers.0.attention.bias", "gpt_neox.layers.1.attention.masked_bias",
                    "gpt_neox.layers.0.attention.rotary_emb.inv_freq"}},
            Unread{"families/t5-v1.0", "decoder.block.1.layer.1.EncDecAttention.relative_attention_bias.weight", t5},
            Unread{"families/mt5", "encoder.block.2.layer.0.SelfAttention.q.weight", t5},
            Unread{"bert",
                   "bert.encoder.layer.0.attention.self.distance_embedding.weight",
                   {"bert.embeddings.position_ids", "cls.predictions.bias", "cls.predictions.transform.dense.weight",
                    "cls.predictions.transform.LayerNorm.gamma", "cls.predictions.decoder.weight", "cls.seq_relationship.weight",
                    "classifier.weight", "classifier.bias", "qa_outputs.weight"}},
            Unread{"roberta",
                   "roberta.encoder.layer.0.crossattention.self.query.weight",
                   {"roberta.embeddings.position_ids", "roberta.pooler.dense.weight", "roberta.pooler.dense.bias", "lm_head.bias",
                    "lm_head.dense.weight", "lm_head.layer_norm.weight", "lm_head.decoder.weight", "classifier.dense.weight",
                    "classifier.out_proj.bias", "qa_outputs.bias"}},
            Unread{
                "albert",
                "albert.encoder.albert_layer_groups.0.albert_layers.7.ffn.weight",
                {"albert.embeddings.position_ids", "predictions.bias", "predictions.LayerNorm.weight", "predictions.dense.weight",
                 "predictions.decoder.bias", "sop_classifier.classifier.weight", "classifier.weight", "classifier.bias"}},
            Unread{"families/bart",
                   "model.encoder.layer_norm.weight",
                   {"classification_head.dense.weight", "classification_head.dense.bias", "classification_head.out_proj.weight",
                    "classification_head.out_proj.bias", "qa_outputs.weight"}},
            Unread{"distilbert",
                   "distilbert.transformer.layer.0.attention.q_lin.scale",
                   {"distilbert.embeddings.position_ids", "vocab_transform.weight", "vocab_layer_norm.bias",
                    "vocab_projector.weight", "pre_classifier.weight", "classifier.bias", "qa_outputs.weight"}},
            Unread{"electra",
                   "electra.pooler.dense.weight",
                   {"electra.embeddings.position_ids", "discriminator_predictions.dense.weight",
                    "discriminator_predictions.dense_prediction.bias", "generator_predictions.LayerNorm.weight",
                    "generator_lm_head.bias", "classifier.dense.weight", "classifier.out_proj.weight", "qa_outputs.bias"}},
            Unread{"deberta",
                   "deberta.encoder.layer.0.attention.self.pos_key_proj.weight",
                   {"deberta.embeddings.position_embeddings.weight", "lm_predictions.lm_head.dense.weight",
                    "mask_predictions.LayerNorm.weight", "cls.predictions.bias", "pooler.dense.weight", "classifier.bias"}},
            Unread{"modernbert",
                   "model.layers.0.attn_norm.weight",
                   {"decoder.weight", "decoder.bias", "classifier.weight", "classifier.bias"}}),
        testing::Values("safetensors", "bin", "shards")),
    [](const auto& test) {
      std::string name = std::get<0>(test.param).folder + "_" + std::get<1>(test.param);
      for (char& c : name)
        if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
      return name;
    });

// A GGUF file's bytes with one more tensor [4] of fp32 behind the others.
std::string with_tensor(std::string bytes, const std::string& last, const std::string& name) {
  const size_t front = 24, found = bytes.find(gguf_string(last)), entry = found + gguf_string(last).size();
  uint64_t tensors = 0;
  uint32_t dimensions = 0;
  std::memcpy(&tensors, bytes.data() + 8, sizeof tensors);
  std::memcpy(&dimensions, bytes.data() + entry, sizeof dimensions);
  const auto aligned = [](size_t size) { return (size + 31) / 32 * 32; };
  const size_t end = entry + 4 + 8 * dimensions + 4 + 8;
  std::string values = bytes.substr(aligned(end));
  values.resize(aligned(values.size()), '\0');
  std::string head = bytes.substr(0, 8) + raw(tensors + 1) + bytes.substr(16, front - 16) + bytes.substr(front, end - front);
  return gguf_file(head + gguf_tensor(name, {4}, 0, values.size()), values + std::string(16, '\0'));
}

class UnreadGguf : public testing::Test {
 protected:
  std::string last() const { return open_gguf(path_)->tensors().back().name; }
  std::string refused(const std::string& bytes) const {
    scratch_.write("m.gguf", bytes);
    return error_of(Code::bad_input, [&] { load_backbone(scratch_ / "m.gguf", context(at::kFloat)); });
  }
  const Scratch scratch_;
  const fs::path path_ = data("wild/llama-biases.gguf");
  const std::string bytes_ = read_file(path_);
};

TEST_F(UnreadGguf, TensorsEndTheRunByName) {
  for (const char* name :
       {"blk.0.attn_q_norm.weight", "blk.1.ffn_gate_inp.weight", "rope_factors_long.weight", "blk.2.attn_q.bias"})
    EXPECT_THAT(refused(with_tensor(bytes_, last(), name)), HasSubstr(str('"', name, "\"] expected tensors of a llama model")));
}

TEST_F(UnreadGguf, TensorsThatAreRightlySoPass) {
  scratch_.write("m.gguf", with_tensor(bytes_, last(), "blk.0.attn_rot_embd.weight"));
  load_backbone(scratch_ / "m.gguf", context(at::kFloat));
}

// Before anything else of the file is asked for.
TEST_F(UnreadGguf, KeysOfTheArchitectureEndTheRunByName) {
  const auto refused_key = [&](const std::string& key, float value) {
    scratch_.write("m.gguf", gguf_front(0, 2) + gguf_string("general.architecture") + raw<uint32_t>(8) + gguf_string("llama") +
                                 gguf_string(key) + raw<uint32_t>(6) + raw(value));
    return error_of(Code::bad_input, [&] { read_model_info(scratch_ / "m.gguf"); });
  };
  for (const char* key : {"llama.expert_count", "llama.logit_scale", "llama.attention.scale", "llama.attention.clamp_kqv",
                          "llama.rope.scaling.attn_factor", "llama.final_logit_softcapping", "llama.what_comes_next"})
    EXPECT_THAT(refused_key(key, 0.125f), HasSubstr(str("m.gguf: ", key, "] expected none"))) << key;
  EXPECT_THAT(refused_key("llama.expert_count", 0), HasSubstr("embedding_length")) << "no experts are none";
}

TEST_F(UnreadGguf, NumbersThatAreNotFiniteEndTheRunByName) {
  for (const std::string key : {"llama.attention.layer_norm_rms_epsilon", "llama.rope.freq_base"})
    for (const float value : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
      std::string bytes = bytes_;
      bytes.replace(bytes.find(gguf_string(key)) + gguf_string(key).size() + 4, 4, raw(value));
      EXPECT_THAT(refused(bytes), HasSubstr(key + "] expected a finite number, received "));
    }
  std::string bytes = bytes_;
  const std::string key = gguf_string("llama.attention.layer_norm_rms_epsilon");
  bytes.replace(bytes.find(key) + key.size() + 4, 4, raw(-1.0f));
  EXPECT_THAT(refused(bytes), HasSubstr("rms_norm_eps] expected a number from 0 to 1, received -1"));
}

class ConfigFields : public testing::Test {
 protected:
  void write(const std::string& folder, const Json& change) const {
    Json config = read_json(data(folder) / "config.json");
    config.update(change);
    scratch_.write("config.json", config.dump());
  }
  ModelInfo info(const std::string& folder, const Json& change) const {
    write(folder, change);
    return read_model_info(scratch_.path());
  }
  std::string refused(const std::string& folder, const Json& change) const {
    return error_of(Code::bad_input, [&] { info(folder, change); });
  }
  const Scratch scratch_;
};

const std::vector<std::string> all_families = {"families/gpt2",  "families/llama",   "families/mistral",
                                               "families/qwen2", "families/t5-v1.0", "families/mt5",
                                               "bert",           "roberta",          "albert"};

// Each computes some of the fields that others refuse.
const std::vector<std::string> new_families = {"families/qwen3", "families/gemma2",  "families/gemma3", "families/smollm3",
                                               "families/olmo2", "families/granite", "families/phi3",   "families/gpt_neox"};

TEST_F(ConfigFields, OfOtherArithmeticEndTheRunByName) {
  const Json fields = {{"embedding_multiplier", 12.0},
                       {"residual_multiplier", 0.22},
                       {"attention_multiplier", 0.0156},
                       {"logits_scaling", 8.0},
                       {"logit_scale", 0.0625},
                       {"scale_emb", 12},
                       {"scale_depth", 1.4},
                       {"final_logit_softcapping", 30.0},
                       {"attn_logit_softcapping", 50.0},
                       {"query_pre_attn_scalar", 256},
                       {"clip_qkv", 8.0},
                       {"num_experts", 8},
                       {"num_local_experts", 8},
                       {"layer_types", {"full_attention", "sliding_attention"}},
                       {"use_parallel_residual", true},
                       {"alibi", true},
                       {"rotary_pct", 0.25},
                       {"partial_rotary_factor", 0.5},
                       {"no_rope_layers", {1, 0}},
                       {"rope_interleave", true},
                       {"position_embedding_type", "relative_key"},
                       {"add_cross_attention", true},
                       {"pruned_heads", {{"0", {1}}}},
                       {"tie_encoder_decoder", true},
                       {"use_qk_norm", true},
                       {"use_bidirectional_attention", true},
                       {"drop_path_rate", 0.1},
                       {"compression_config", {{"format", "pack-quantized"}}},
                       {"quantization", {{"bits", 4}}}};
  for (const std::string& family : all_families)
    for (const auto& [key, value] : fields.items())
      EXPECT_THAT(refused(family, {{key, value}}), HasSubstr(str(": ", key, "] expected "))) << family;
}

TEST_F(ConfigFields, ThatNoneOfTheRelativesComputesEndTheRunByName) {
  const Json fields = {{"scale_emb", 12},
                       {"clip_qkv", 8.0},
                       {"num_experts", 8},
                       {"num_kv_shared_layers", 10},
                       {"hidden_size_per_layer_input", 256},
                       {"attention_chunk_size", 8192},
                       {"use_bidirectional_attention", true},
                       {"rope_interleave", true},
                       {"use_qk_norm", true},
                       {"is_causal", false},
                       {"layer_types", {"full_attention", "linear_attention"}}};
  for (const std::string& family : new_families)
    for (const auto& [key, value] : fields.items())
      EXPECT_THAT(refused(family, {{key, value}}), HasSubstr(str(": ", key, "] expected "))) << family;
}

TEST_F(ConfigFields, OfOneFamilyEndTheRunByName) {
  EXPECT_THAT(refused("families/llama", {{"sliding_window", 8}}), HasSubstr("sliding_window"));
  EXPECT_THAT(refused("families/llama", {{"hidden_activation", "gelu_pytorch_tanh"}}), HasSubstr("hidden_activation"));
  EXPECT_THAT(refused("families/llama", {{"is_causal", false}}), HasSubstr("is_causal"));
  EXPECT_THAT(refused("families/gpt2", {{"is_causal", false}}), HasSubstr("is_causal"));
  EXPECT_THAT(refused("families/gpt2", {{"hidden_size", 99}}), HasSubstr("hidden_size] expected 16, as n_embd says"));
  EXPECT_THAT(refused("families/t5-v1.0", {{"num_hidden_layers", 9}}), HasSubstr("num_hidden_layers] expected 2"));
  EXPECT_THAT(refused("bert", {{"is_decoder", true}}), HasSubstr("is_decoder"));
  EXPECT_THAT(refused("families/mistral", {{"sliding_window", "wide"}}), HasSubstr("sliding_window"));
}

TEST_F(ConfigFields, OfRopeEndTheRunByName) {
  const auto rope = [&](const Json& parameters) { return refused("families/llama", {{"rope_parameters", parameters}}); };
  EXPECT_THAT(rope({{"rope_type", "default"}, {"mrope_section", {8, 8}}}), HasSubstr("rope_parameters: mrope_section"));
  EXPECT_THAT(rope({{"full_attention", {{"rope_type", "default"}}}}), HasSubstr("rope_parameters: full_attention"));
  EXPECT_THAT(rope({{"rope_type", "default"}, {"short_factor", {1.0}}}), HasSubstr("short_factor"));
}

TEST_F(ConfigFields, ThatChangeNoResultPass) {
  const Json harmless = {{"use_cache", false},
                         {"torch_dtype", "float16"},
                         {"dtype", "bfloat16"},
                         {"architectures", {"SomeModel"}},
                         {"_name_or_path", "somewhere"},
                         {"auto_map", {{"AutoModel", "modeling.Model"}}},
                         {"pretraining_tp", 2},
                         {"gradient_checkpointing", true},
                         {"task_specific_params", {{"a", 1}}},
                         {"unsloth_version", "2026.1"},
                         {"embedding_multiplier", 1.0},
                         {"final_logit_softcapping", nullptr},
                         {"num_local_experts", 0},
                         {"layer_types", {"full_attention", "full_attention"}},
                         {"quantization_config", nullptr},
                         {"pruned_heads", Json::object()},
                         {"label2id", {{"a", 0}}},
                         {"ffn_dim_multiplier", 1.3},
                         {"a_key_of_tomorrow", {1, 2}}};
  for (const std::string& family : all_families) EXPECT_GT(info(family, harmless).parameters, 0) << family;
}

TEST_F(ConfigFields, QuantisationThatIsNotComputedIsNamed) {
  for (const char* method : {"gptq", "awq", "compressed-tensors", "bitsandbytes", "fbgemm_fp8", "mxfp4", "hqq", "torchao"})
    EXPECT_THAT(
        refused("families/llama", {{"quantization_config", {{"quant_method", method}}}}),
        HasSubstr(str("quantization_config: quant_method] expected fp8, or no quantization_config, received \"", method)));
  EXPECT_THAT(refused("bert", {{"quantization_config", {{"load_in_8bit", true}}}}), HasSubstr("bitsandbytes"));
  EXPECT_THAT(refused("families/llama", {{"quantization_config", {{"bits", 4}}}}), HasSubstr("quant_method"));
  EXPECT_THAT(refused("families/llama", {{"quantization_config", {{"quant_method", "fp8"}, {"weight_block_size", {128}}}}}),
              HasSubstr("weight_block_size"));
}

TEST_F(ConfigFields, NumbersThatNormsCannotUseAreRefused) {
  for (const auto& [family, key] : {std::pair{"families/llama", "rms_norm_eps"},
                                    {"families/gpt2", "layer_norm_epsilon"},
                                    {"families/mt5", "layer_norm_epsilon"},
                                    {"bert", "layer_norm_eps"}}) {
    EXPECT_THAT(refused(family, {{key, -1e-5}}), HasSubstr(str(key, "] expected a number from 0 to 1")));
    EXPECT_THAT(refused(family, {{key, 1e300}}), HasSubstr(key));
  }
  scratch_.write("config.json", R"({"model_type": "llama", "rms_norm_eps": NaN})");
  EXPECT_THAT(error_of(Code::bad_input, [&] { read_model_info(scratch_.path()); }), HasSubstr("config.json"));
  scratch_.write("config.json", R"({"model_type": "llama", "rms_norm_eps": 1e999})");
  EXPECT_THAT(error_of(Code::bad_input, [&] { read_model_info(scratch_.path()); }), HasSubstr("config.json"));
  EXPECT_THAT(refused("bert", {{"initializer_range", -1}}), HasSubstr("initializer_range"));
  EXPECT_THAT(refused("families/llama", {{"attention_dropout", 1.5}}), HasSubstr("attention_dropout"));
}

TEST_F(ConfigFields, UnsaidOnesAreTheFamilysOwn) {
  Json albert = read_json(data("albert") / "config.json");
  for (const char* key : {"hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout_prob"}) albert.erase(key);
  scratch_.write("config.json", albert.dump());
  EXPECT_EQ(read_model_info(scratch_.path()).dropout, 0);
  EXPECT_EQ(read_model_info(scratch_.path()).head_rules.dropout, 0.1);
}

}  // namespace
}  // namespace dept::parity
