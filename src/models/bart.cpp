#include "models/bart.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/max.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

#include "dept/tensor/upload.h"
#include "models/arithmetic.h"
#include "models/bart_blocks.h"
#include "models/encoder_decoder.h"
#include "models/head.h"

namespace dept {
namespace {

constexpr int64_t first_bart_position = 2;

struct BartStack {
  at::Tensor positions;  // [P + 2, D] residual type
  nn::LayerNorm embedding_norm;
  std::vector<BartBlock> blocks;
  BartConfig::Stack sizes{};
  bool decoder = false;
};

struct BartStackSaved {
  BartPlan plan;
  nn::LayerNorm::Saved embedding_norm;
  std::vector<BartBlock::Saved> blocks;

  int64_t bytes() const {
    int64_t total = bytes_of(embedding_norm);
    for (const BartBlock::Saved& block : blocks) total += block.bytes();
    return total;
  }
};

struct BartSaved : Saved {
  BartStackSaved encoder, decoder;
  int64_t bytes() const override { return encoder.bytes() + decoder.bytes(); }
};

class Bart : public EncoderDecoder {
 public:
  Bart(const ModelFiles& files, const ModelContext& context)
      : EncoderDecoder(context),
        config_(read_bart_config(files.config, files.where)),
        info_(bart_info(files.config, files.where)) {
    info_.eos_ids = files.eos_ids;
    if (files.answer_start_id) info_.answer_start_id = files.answer_start_id;
    info_.storage = storage_name(context);
    const std::string base = name_prefix(files, {"model.", ""}, "encoder.layernorm_embedding.weight");
    embedding_.table =
        load_shared_embedding(files, base, {"shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"},
                              {config_.vocab, config_.hidden}, context.compute);
    embedding_.scale = config_.embedding_scale;
    head_.table = load_head(files, embedding_.table, context.compute, config_.tied, info_);
    if (files.weights != nullptr && files.weights->find("final_logits_bias") != nullptr)
      logits_bias_ = files.loader("final_logits_bias", {1, config_.vocab}, context.residual());
    encoder_ = load_stack(files, base + "encoder.", config_.encoder, false);
    decoder_ = load_stack(files, base + "decoder.", config_.decoder, true);
  }

  const ModelInfo& info() const override { return info_; }
  at::Tensor embed(const at::Tensor& ids) const override { return embedding_.forward(ids); }

  at::Tensor forward(const Call& call, const Stream& source, const Stream* target, std::unique_ptr<Saved>* saved) const override {
    if (target == nullptr) fail(Code::bug, "BART", "a target stream", "none");
    auto kept = std::make_unique<BartSaved>();
    const bool keep = saved != nullptr;
    const at::Tensor memory = run(encoder_, call, source, {}, nullptr, kept->encoder, keep);
    const at::Tensor hidden =
        run(decoder_, call, *target, {memory.to(context().compute), nullptr}, &source.tokens, kept->decoder, keep);
    if (keep) *saved = std::move(kept);
    return hidden.to(context().compute);
  }

  InputGradients backward(std::unique_ptr<Saved> saved, const at::Tensor& d_hidden) const override {
    auto& kept = dynamic_cast<BartSaved&>(*saved);
    const auto options = d_hidden.options().dtype(context().residual());
    at::Tensor d_memory = at::zeros({kept.encoder.plan.tokens.tokens(), config_.hidden}, options), none;
    InputGradients gradients;
    gradients.target = run_backward(decoder_, kept.decoder, d_hidden.to(context().residual()).contiguous(), d_memory);
    gradients.source = run_backward(encoder_, kept.encoder, d_memory, none);
    return gradients;
  }

  at::Tensor logits(const at::Tensor& hidden) const override {
    const at::Tensor logits = head_.forward(hidden);
    return logits_bias_.defined() ? logits + logits_bias_ : logits;
  }
  at::Tensor logits_backward(const at::Tensor& d_logits, const at::Tensor& logits) const override {
    return head_.backward(d_logits, logits);
  }

  std::unique_ptr<KvCache> start(const Stream& source, int64_t slots, int64_t expected) const override {
    const at::Tensor memory = encoded(source);
    auto cache = std::make_unique<EncoderDecoderCache>();
    const DecoderSizes sizes = decoder_sizes();
    cache->slots = nn::SlotCache(slots, sizes.layers, sizes.heads, sizes.head_dim, memory.options(), expected);
    for (const BartBlock& block : decoder_.blocks) cache->memory.push_back(block.cross->own_memory({memory, nullptr}));
    cache->read(source.tokens, slots);
    return cache;
  }

  at::Tensor extend(KvCache& state, const Stream& fresh, const std::vector<int64_t>& slots) const override {
    auto& cache = dynamic_cast<EncoderDecoderCache&>(state);
    const at::Tensor begin = with_positions(decoder_, fresh);
    const at::Tensor rows = cache.slots.append(fresh.tokens, slots);
    BartPlan plan = plan_of(decoder_, Call(), fresh.tokens);
    plan.self.spans = cache.slots.spans(fresh.tokens, slots);
    plan.cross.spans = cache.cross_spans(fresh.tokens, slots);
    at::Tensor h = decoder_.embedding_norm.forward(begin, context().residual(), nullptr);
    for (size_t i = 0; i < decoder_.blocks.size(); ++i)
      h = decoder_.blocks[i].extend(h, cache.memory[i], plan, cache.slots, static_cast<int64_t>(i), rows);
    return h.to(context().compute);
  }

 protected:
  DecoderSizes decoder_sizes() const override {
    const int64_t heads = config_.decoder.heads;
    return {config_.decoder.layers, heads, config_.hidden / heads};
  }
  const nn::CrossAttention& cross_attention(int64_t layer) const override { return *decoder_.blocks[layer].cross; }
  at::Tensor encoded(const Stream& source) const override {
    BartStackSaved unused;
    return run(encoder_, Call(), source, {}, nullptr, unused, false).to(context().compute);
  }

 private:
  nn::LayerNorm load_norm(const ModelFiles& files, const std::string& name) const {
    return {files.loader(name + ".weight", {config_.hidden}, context().residual()),
            files.loader(name + ".bias", {config_.hidden}, context().residual()), 1e-5, context().kernels};
  }
  kernels::FrozenLinear load_linear(const ModelFiles& files, std::vector<nn::LinearSpec::Part> parts, int64_t in) const {
    return files.loader.linear({.parts = std::move(parts), .in = in, .bias = true}, context().compute);
  }

  BartBlock load_block(const ModelFiles& files, const std::string& name, const BartConfig::Stack& sizes, bool decoder) const {
    const int64_t d = config_.hidden, f = sizes.intermediate;
    const std::string self = name + "self_attn.", cross = name + "encoder_attn.";
    BartBlock block;
    block.attention = {load_linear(files, {{self + "q_proj", d}, {self + "k_proj", d}, {self + "v_proj", d}}, d),
                       load_linear(files, {{self + "out_proj", d}}, d), sizes.heads, sizes.heads, d / sizes.heads};
    block.attention_norm = load_norm(files, name + "self_attn_layer_norm");
    if (decoder) {
      block.cross = {load_linear(files, {{cross + "q_proj", d}}, d),
                     load_linear(files, {{cross + "k_proj", d}, {cross + "v_proj", d}}, d),
                     load_linear(files, {{cross + "out_proj", d}}, d), sizes.heads, d / sizes.heads};
      block.cross_norm = load_norm(files, name + "encoder_attn_layer_norm");
    }
    block.feed_forward = {load_linear(files, {{name + "fc1", f}}, d), load_linear(files, {{name + "fc2", d}}, f),
                          config_.activation};
    block.feed_forward_norm = load_norm(files, name + "final_layer_norm");
    return block;
  }

  BartStack load_stack(const ModelFiles& files, const std::string& name, const BartConfig::Stack& sizes, bool decoder) const {
    BartStack stack;
    stack.decoder = decoder;
    stack.sizes = sizes;
    stack.positions = files.loader(name + "embed_positions.weight", {config_.positions + first_bart_position, config_.hidden},
                                   context().residual());
    stack.embedding_norm = load_norm(files, name + "layernorm_embedding");
    for (int64_t i = 0; i < sizes.layers; ++i)
      stack.blocks.push_back(load_block(files, str(name, "layers.", i, "."), sizes, decoder));
    return stack;
  }

  at::Tensor with_positions(const BartStack& stack, const Stream& stream) const {
    check_stream(context(), stream, config_.hidden, "BART");
    const at::Tensor& position = stream.tokens.position;
    const int64_t last = position.numel() > 0 ? at::max(position).item<int64_t>() : 0;
    if (last >= config_.positions)
      fail(Code::bad_input, "bart: max_position_embeddings",
           str("at most ", config_.positions, " tokens, the prompt's among them"), str(last + 1));
    return stream.embeds +
           stack.positions.index_select(0, upload_positions(stream.tokens, context().device, first_bart_position));
  }

  BartPlan plan_of(const BartStack& stack, const Call& call, const Ragged& tokens) const {
    BartPlan plan;
    plan.self.options.causal = stack.decoder;
    plan.self.options.scale = plan.cross.options.scale = 1 / std::sqrt(static_cast<double>(config_.hidden / stack.sizes.heads));
    plan.context = context();
    plan.call = call;
    plan.tokens = tokens;
    plan.dropout = config_.dropout;
    plan.attention_dropout = config_.attention_dropout;
    plan.inner_dropout = config_.inner_dropout;
    plan.first_layer = stack.decoder ? decoder_layer_base : 0;
    return plan;
  }

  // blocks(dropout(norm(embeds + positions))), residual type
  at::Tensor run(const BartStack& stack, const Call& call, const Stream& stream, const nn::CrossAttention::Memory& memory,
                 const Ragged* memory_tokens, BartStackSaved& kept, bool keep) const {
    kept.plan = plan_of(stack, call, stream.tokens);
    kept.plan.self.spans = kernels::self_attention_spans(stream.tokens);
    if (memory_tokens != nullptr) kept.plan.cross.spans = kernels::cross_attention_spans(stream.tokens, *memory_tokens);
    kept.blocks.resize(keep ? stack.blocks.size() : 0);
    at::Tensor h =
        stack.embedding_norm.forward(with_positions(stack, stream), context().residual(), keep ? &kept.embedding_norm : nullptr);
    h = kernels::apply_dropout(h, kept.plan.output(0, Site::embedding), context().kernels);
    for (size_t i = 0; i < stack.blocks.size(); ++i)
      h = stack.blocks[i].forward(h, memory, kept.plan, static_cast<int64_t>(i), keep ? &kept.blocks[i] : nullptr);
    return h;
  }

  // d: gradient of what run returned. Returns that of the embeddings; the memory's is added to d_memory.
  at::Tensor run_backward(const BartStack& stack, BartStackSaved& kept, at::Tensor d, at::Tensor& d_memory) const {
    for (size_t i = stack.blocks.size(); i-- > 0;) {
      d = stack.blocks[i].backward(d, d_memory, kept.plan, static_cast<int64_t>(i), kept.blocks[i]);
      kept.blocks[i] = {};
    }
    d = kernels::apply_dropout(d, kept.plan.output(0, Site::embedding), context().kernels);
    return stack.embedding_norm.backward(d, kept.embedding_norm);
  }

  BartConfig config_;
  ModelInfo info_;
  nn::Embedding embedding_;
  nn::Head head_;
  at::Tensor logits_bias_;  // [1, V] residual type; undefined: none
  BartStack encoder_, decoder_;
};

BartConfig::Stack read_stack(const Json& config, const std::string& name, int64_t hidden, const std::string& where) {
  const BartConfig::Stack stack{require_size(config, name + "_layers", where),
                                require_size(config, name + "_attention_heads", where),
                                require_size(config, name + "_ffn_dim", where)};
  check_heads(stack.heads, name + "_attention_heads", hidden, "d_model", where);
  require_neutral(config, {name + "_layerdrop", {0}}, where);
  return stack;
}

}  // namespace

BartConfig read_bart_config(const Json& config, const std::string& where) {
  refuse_two_values(
      config,
      {{"d_model", "hidden_size"}, {"encoder_layers", "num_hidden_layers"}, {"encoder_attention_heads", "num_attention_heads"}},
      where);
  BartConfig c{};
  c.hidden = require_size(config, "d_model", where);
  c.vocab = require_size(config, "vocab_size", where);
  c.positions = require_size(config, "max_position_embeddings", where);
  c.encoder = read_stack(config, "encoder", c.hidden, where);
  c.decoder = read_stack(config, "decoder", c.hidden, where);
  const bool scaled = value_or<bool>(config, "scale_embedding", false, where);
  c.embedding_scale = scaled ? std::sqrt(static_cast<double>(c.hidden)) : 1.0;
  c.dropout = read_dropout(config, "dropout", 0.1, where);
  c.attention_dropout = read_dropout(config, "attention_dropout", 0, where);
  c.inner_dropout = read_dropout(config, "activation_dropout", 0, where);
  c.activation = read_activation(config, "activation_function", "gelu", where);
  c.tied = value_or<bool>(config, "tie_word_embeddings", true, where);
  // Of mBART, whose layers have their norms in front, in configurations of BART's early days.
  for (const char* key : {"normalize_before", "add_final_layer_norm", "static_position_embeddings"})
    require_neutral(config, {key, {false}}, where);
  require_neutral(config, {"normalize_embedding", {true}}, where);
  return c;
}

ModelInfo bart_info(const Json& config, const std::string& where) {
  const BartConfig c = read_bart_config(config, where);
  ModelInfo info;
  info.model_type = require<std::string>(config, "model_type", where);
  info.architecture = Architecture::encoder_decoder;
  info.head = HeadForm::none;
  info.hidden = c.hidden;
  info.layers = c.encoder.layers + c.decoder.layers;
  info.heads = c.encoder.heads;
  info.vocab = c.vocab;
  info.max_positions = c.positions;
  info.dropout = std::max({c.dropout, c.attention_dropout, c.inner_dropout});
  info.tied = c.tied;
  const int64_t d = c.hidden, attention = 4 * d * (d + 1), norm = 2 * d;
  const auto blocks = [&](const BartConfig::Stack& stack, int64_t attentions) {
    return stack.layers * (attentions * (attention + norm) + 2 * d * stack.intermediate + stack.intermediate + d + norm);
  };
  const int64_t positions = 2 * (c.positions + first_bart_position) * d;
  info.parameters = c.vocab * d * (c.tied ? 1 : 2) + positions + 2 * norm + blocks(c.encoder, 1) + blocks(c.decoder, 2);
  info.embedding_parameters = c.vocab * d + positions;
  info.bos_id = optional_id(config, "bos_token_id", where);
  info.pad_id = optional_id(config, "pad_token_id", where);
  info.decoder_start_id = optional_id(config, "decoder_start_token_id", where);
  if (!info.decoder_start_id) info.decoder_start_id = 2;
  info.answer_start_id = info.decoder_start_id;
  return info;
}

std::unique_ptr<Backbone> make_bart(const ModelFiles& files, const ModelContext& context) {
  return std::make_unique<Bart>(files, context);
}

}  // namespace dept
