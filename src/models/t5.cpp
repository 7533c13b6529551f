#include "models/t5.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

#include "dept/tensor/upload.h"
#include "models/arithmetic.h"
#include "models/encoder_decoder.h"
#include "models/head.h"
#include "models/t5_blocks.h"

namespace dept {
namespace {

struct Stack {
  std::vector<T5Block> blocks;
  nn::RmsNorm final_norm;
  std::vector<at::Tensor> biases;  // [H, buckets] each: of every block (UMT5), or of block 0 for all
  bool decoder = false;

  // What reads the stream behind block i.
  nn::NextNorm<nn::RmsNorm> norm_behind(size_t i, std::vector<T5Block::Saved>& kept, nn::RmsNorm::Saved* final_kept) const {
    if (i + 1 == blocks.size()) return {&final_norm, final_kept};
    return blocks[i + 1].first_norm(kept.empty() ? nullptr : &kept[i + 1]);
  }
};

struct StackSaved {
  T5Plan plan;
  Ragged tokens;
  std::vector<T5Block::Saved> blocks;
  nn::RmsNorm::Saved final_norm;

  int64_t bytes() const {
    int64_t total = bytes_of(final_norm);
    for (const T5Block::Saved& block : blocks) total += block.bytes();
    return total;
  }
};

struct T5Saved : Saved {
  Call call;  // dropout is drawn again in backward
  StackSaved encoder, decoder;
  int64_t bytes() const override { return encoder.bytes() + decoder.bytes(); }
};

// [H, 2 reach + 1]: the bias at key - query + reach.
std::vector<at::Tensor> biases_by_distance(const Stack& stack, const T5Config& c, int64_t reach) {
  std::vector<int64_t> buckets;
  for (int64_t relative = -reach; relative <= reach; ++relative)
    buckets.push_back(t5_bucket(relative, !stack.decoder, c.buckets, c.max_distance));
  const at::Tensor chosen = upload_fixed(at::tensor(buckets, at::kLong), stack.biases.front().device());
  std::vector<at::Tensor> biases;
  for (const at::Tensor& bias : stack.biases) biases.push_back(bias.index_select(1, chosen));
  return biases;
}

class T5 : public EncoderDecoder {
 public:
  T5(const ModelFiles& files, const ModelContext& context)
      : EncoderDecoder(context),
        config_(read_t5_config(files.config, files.where)),
        info_(t5_info(files.config, files.where)),
        dtype_(context.compute) {
    info_.eos_ids = files.eos_ids;
    if (files.answer_start_id) info_.answer_start_id = files.answer_start_id;
    info_.storage = storage_name(context);
    const std::string base = name_prefix(files, {"", "transformer."}, "encoder.final_layer_norm.weight");
    embedding_.table =
        load_shared_embedding(files, base, {"shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"},
                              {config_.vocab, config_.hidden}, dtype_);
    head_.table = load_head(files, embedding_.table, dtype_, config_.tied && config_.scaled_output, info_);
    head_.scale = config_.scaled_output ? 1 / std::sqrt(static_cast<double>(config_.hidden)) : 1.0;
    encoder_ = load_stack(files, base + "encoder", false, config_.encoder_layers);
    decoder_ = load_stack(files, base + "decoder", true, config_.decoder_layers);
  }

  const ModelInfo& info() const override { return info_; }
  at::Tensor embed(const at::Tensor& ids) const override { return embedding_.forward(ids); }

  at::Tensor forward(const Call& call, const Stream& source, const Stream* target, std::unique_ptr<Saved>* saved) const override {
    if (target == nullptr) fail(Code::bug, "T5", "a target stream", "none");
    check(source);
    check(*target);
    auto kept = std::make_unique<T5Saved>();
    kept->call = call;
    const bool keep = saved != nullptr;
    const at::Tensor memory = run(encoder_, kept->call, source, {}, nullptr, kept->encoder, keep);
    at::Tensor hidden = run(decoder_, kept->call, *target, memory, &source.tokens, kept->decoder, keep);
    if (keep) *saved = std::move(kept);
    return hidden;
  }

  InputGradients backward(std::unique_ptr<Saved> saved, const at::Tensor& d_hidden) const override {
    auto& kept = dynamic_cast<T5Saved&>(*saved);
    at::Tensor d_memory = at::zeros(kept.encoder.final_norm.normalised.sizes(), d_hidden.options().dtype(context().residual()));
    InputGradients gradients;
    gradients.target = run_backward(decoder_, kept.decoder, d_hidden, d_memory);
    at::Tensor none;
    gradients.source = run_backward(encoder_, kept.encoder, d_memory, none);
    return gradients;
  }

  at::Tensor logits(const at::Tensor& hidden) const override { return head_.forward(hidden); }
  at::Tensor logits_backward(const at::Tensor& d_logits, const at::Tensor& logits) const override {
    return head_.backward(d_logits, logits);
  }

  std::unique_ptr<KvCache> start(const Stream& source, int64_t slots, int64_t expected) const override {
    const at::Tensor memory = encoded(source);
    auto cache = std::make_unique<EncoderDecoderCache>();
    cache->slots = nn::SlotCache(slots, config_.decoder_layers, config_.heads, config_.head_dim, memory.options(), expected);
    const auto shared = shared_memory(memory, source.tokens, expected);
    for (const T5Block& block : decoder_.blocks) cache->memory.push_back(block.cross->own_memory(shared));
    cache->read(source.tokens, slots);
    return cache;
  }

  at::Tensor extend(KvCache& state, const Stream& fresh, const std::vector<int64_t>& slots) const override {
    check(fresh);
    auto& cache = dynamic_cast<EncoderDecoderCache&>(state);
    const at::Tensor rows = cache.slots.append(fresh.tokens, slots);
    T5Plan plan = plan_of(decoder_, fresh.tokens, cache.slots.longest());
    plan.self.spans = cache.slots.spans(fresh.tokens, slots);
    plan.cross.spans = cache.cross_spans(fresh.tokens, slots);
    nn::ResidualStream stream{fresh.embeds.contiguous()};
    std::vector<T5Block::Saved> nothing;
    for (size_t i = 0; i < decoder_.blocks.size(); ++i)
      stream = decoder_.blocks[i].extend(std::move(stream), cache.memory[i], plan, cache.slots, static_cast<int64_t>(i), rows,
                                         decoder_.norm_behind(i, nothing, nullptr));
    return stream.x;
  }

 protected:
  DecoderSizes decoder_sizes() const override { return {config_.decoder_layers, config_.heads, config_.head_dim}; }
  const nn::CrossAttention& cross_attention(int64_t layer) const override { return *decoder_.blocks[layer].cross; }
  at::Tensor encoded(const Stream& source) const override {
    check(source);
    StackSaved unused;
    return run(encoder_, Call(), source, {}, nullptr, unused, false);
  }

 private:
  void check(const Stream& stream) const { check_stream(context(), stream, config_.hidden, "T5"); }

  nn::FeedForward load_feed_forward(const ModelFiles& files, const std::string& name) const {
    const int64_t d = config_.hidden, f = config_.intermediate;
    const std::vector<nn::LinearSpec::Part> in = config_.gated
                                                     ? std::vector<nn::LinearSpec::Part>{{name + "wi_0", f}, {name + "wi_1", f}}
                                                     : std::vector<nn::LinearSpec::Part>{{name + "wi", f}};
    return {files.loader.linear({in, d}, dtype_), files.loader.linear({{{name + "wo", d}}, f}, dtype_), config_.activation,
            config_.gated};
  }

  Stack load_stack(const ModelFiles& files, const std::string& name, bool decoder, int64_t layers) const {
    const int64_t d = config_.hidden, hk = config_.heads * config_.head_dim;
    const auto norm = [&](const std::string& key) {
      return nn::RmsNorm{files.loader(key, {d}, context().residual()), config_.eps, context().kernels};
    };
    const auto linear = [&](std::vector<nn::LinearSpec::Part> parts, int64_t in) {
      return files.loader.linear({std::move(parts), in}, dtype_);
    };
    Stack stack;
    stack.decoder = decoder;
    for (int64_t i = 0; i < layers; ++i) {
      const std::string block_name = str(name, ".block.", i, ".layer.");
      const std::string self = block_name + "0.SelfAttention.", cross = block_name + "1.EncDecAttention.";
      const std::string last = block_name + (stack.decoder ? "2." : "1.");
      T5Block block;
      block.attention_norm = norm(block_name + "0.layer_norm.weight");
      block.attention = {linear({{self + "q", hk}, {self + "k", hk}, {self + "v", hk}}, d), linear({{self + "o", d}}, hk),
                         config_.heads, config_.heads, config_.head_dim};
      if (stack.decoder) {
        block.cross_norm = norm(block_name + "1.layer_norm.weight");
        block.cross = {linear({{cross + "q", hk}}, d),
                       files.loader.linear({.parts = {{cross + "k", hk}, {cross + "v", hk}}, .in = d, .by_head = true}, dtype_),
                       linear({{cross + "o", d}}, hk), config_.heads, config_.head_dim};
      }
      block.feed_forward_norm = norm(last + "layer_norm.weight");
      block.feed_forward = load_feed_forward(files, last + "DenseReluDense.");
      stack.blocks.push_back(std::move(block));
    }
    stack.final_norm = norm(name + ".final_layer_norm.weight");
    for (int64_t i = 0; i < (config_.bias_in_each_layer ? layers : 1); ++i) {
      const std::string table = str(name, ".block.", i, ".layer.0.SelfAttention.relative_attention_bias.weight");
      stack.biases.push_back(files.loader(table, {config_.buckets, config_.heads}, context().residual()).t().contiguous());
    }
    return stack;
  }

  T5Plan plan_of(const Stack& stack, const Ragged& tokens, int64_t reach) const {
    T5Plan plan;
    plan.dtype = dtype_;
    plan.kernels = context().kernels;
    plan.tokens = &tokens;
    plan.p = config_.dropout;
    plan.first_layer = stack.decoder ? decoder_layer_base : 0;
    plan.self.options.causal = stack.decoder;
    plan.biases = biases_by_distance(stack, config_, reach);
    return plan;
  }

  // The encoder's output for a decoder whose targets have up to `longest` tokens.
  nn::CrossAttention::Memory shared_memory(const at::Tensor& hidden, const Ragged& tokens, int64_t longest) const {
    const nn::CrossAttention& cross = *decoder_.blocks.front().cross;
    return cross.shared_memory(hidden, tokens, cross.absorbs(longest));
  }

  // dropout(final_norm(blocks(dropout(embeds))))
  at::Tensor run(const Stack& stack, const Call& call, const Stream& stream, const at::Tensor& memory,
                 const Ragged* memory_tokens, StackSaved& kept, bool keep) const {
    kept.tokens = stream.tokens;
    kept.plan = plan_of(stack, kept.tokens, stream.tokens.max_length());
    kept.plan.call = &call;
    kept.plan.self.spans = kernels::self_attention_spans(kept.tokens);
    nn::CrossAttention::Memory shared;
    if (memory_tokens != nullptr) {
      kept.plan.cross.spans = kernels::cross_attention_spans(kept.tokens, *memory_tokens);
      shared = shared_memory(memory, *memory_tokens, kept.tokens.max_length());
    }
    kept.blocks.resize(keep ? stack.blocks.size() : 0);
    const auto layers = static_cast<int64_t>(stack.blocks.size());
    nn::ResidualStream residual{
        kernels::apply_dropout(stream.embeds.contiguous(), kept.plan.dropout(0, Site::embedding), context().kernels)};
    for (int64_t i = 0; i < layers; ++i)
      residual = stack.blocks[i].forward(std::move(residual), shared, kept.plan, i, keep ? &kept.blocks[i] : nullptr,
                                         stack.norm_behind(i, kept.blocks, keep ? &kept.final_norm : nullptr));
    return kernels::apply_dropout(residual.x, kept.plan.dropout(layers, Site::final_output), context().kernels);
  }

  // d: gradient of what run returned. Returns that of the embeddings; the memory's is added to d_memory.
  at::Tensor run_backward(const Stack& stack, StackSaved& kept, const at::Tensor& d_out, at::Tensor& d_memory) const {
    const auto layers = static_cast<int64_t>(stack.blocks.size());
    const auto drop = [&](const at::Tensor& x, int64_t layer, Site site) {
      return kernels::apply_dropout(x, kept.plan.dropout(layer, site), context().kernels);
    };
    at::Tensor d = at::zeros(d_out.sizes(), d_out.options().dtype(context().residual()));
    stack.final_norm.backward(drop(d_out.to(dtype_).contiguous(), layers, Site::final_output), kept.final_norm, d);
    at::Tensor branch;
    for (int64_t i = layers; i-- > 0;) {
      branch = stack.blocks[i].backward(d, d_memory, kept.plan, i, kept.blocks[i], branch, i == 0);
      kept.blocks[i] = {};
    }
    return drop(d, 0, Site::embedding);
  }

  T5Config config_;
  ModelInfo info_;
  at::ScalarType dtype_;
  nn::Embedding embedding_;
  nn::Head head_;
  Stack encoder_, decoder_;
};

}  // namespace

int64_t t5_bucket(int64_t relative, bool bidirectional, int64_t buckets, int64_t max_distance) {
  int64_t first = 0, distance = std::max<int64_t>(-relative, 0);
  if (bidirectional) {
    buckets /= 2;
    first = relative > 0 ? buckets : 0;
    distance = std::abs(relative);
  }
  const int64_t exact = buckets / 2;
  if (distance < exact) return first + distance;
  const float far = std::log(static_cast<float>(distance) / static_cast<float>(exact)) /
                    static_cast<float>(std::log(static_cast<double>(max_distance) / static_cast<double>(exact)));
  return first + std::min<int64_t>(exact + static_cast<int64_t>(far * static_cast<float>(buckets - exact)), buckets - 1);
}

namespace {

// feed_forward_proj is ACT or gated-ACT; "gated-gelu" has always meant the tanh approximation.
void read_feed_forward(const Json& config, const std::string& fallback, const std::string& where, T5Config& c) {
  const auto named = value_or<std::string>(config, "feed_forward_proj", fallback, where);
  c.gated = named.starts_with("gated-");
  std::string act = c.gated ? named.substr(6) : named;
  if (named == "gated-gelu") act = "gelu_new";
  c.activation = parse_activation(act, where + ": feed_forward_proj");
  if (const auto said = value_or<std::string>(config, "dense_act_fn", act, where); said != act)
    fail(Code::bad_input, where + ": dense_act_fn", str(act, ", as feed_forward_proj says"), quote(said));
  if (const bool said = value_or<bool>(config, "is_gated_act", c.gated, where); said != c.gated)
    fail(Code::bad_input, where + ": is_gated_act", str(c.gated ? "true" : "false", ", as feed_forward_proj says"),
         said ? "true" : "false");
}

}  // namespace

T5Config read_t5_config(const Json& config, const std::string& where) {
  T5Config c{};
  refuse_two_values(config,
                    {{"d_model", "hidden_size"},
                     {"d_kv", "head_dim"},
                     {"num_layers", "num_hidden_layers"},
                     {"num_heads", "num_attention_heads"}},
                    where);
  c.hidden = require_size(config, "d_model", where);
  c.head_dim = require_size(config, "d_kv", where);
  c.intermediate = require_size(config, "d_ff", where);
  c.encoder_layers = require_size(config, "num_layers", where);
  c.decoder_layers = size_or(config, "num_decoder_layers", c.encoder_layers, where);
  c.heads = require_size(config, "num_heads", where);
  c.vocab = require_size(config, "vocab_size", where);
  c.buckets = value_or<int64_t>(config, "relative_attention_num_buckets", 32, where);
  c.max_distance = value_or<int64_t>(config, "relative_attention_max_distance", 128, where);
  c.dropout = read_dropout(config, "dropout_rate", 0.1, where);
  c.eps = read_epsilon(config, "layer_norm_epsilon", 1e-6, where);
  const auto type = value_or<std::string>(config, "model_type", "t5", where);
  const bool mt5 = type == "mt5", umt5 = type == "umt5";
  read_feed_forward(config, mt5 || umt5 ? "gated-gelu" : "relu", where, c);
  c.tied = value_or<bool>(config, "tie_word_embeddings", !mt5 && !umt5, where);
  // transformers 5 writes every configuration as tied, and what it used to mean under a name of its own; UMT5 is always scaled.
  c.scaled_output = umt5 || (!mt5 && value_or<bool>(config, "scale_decoder_outputs", c.tied, where));
  c.bias_in_each_layer = umt5;
  if (c.buckets < 4 || c.buckets > 4096 || c.max_distance <= c.buckets / 2)
    fail(Code::bad_input, where + ": relative_attention_num_buckets",
         "4 to 4096, half of it below relative_attention_max_distance", str(c.buckets, " and ", c.max_distance));
  return c;
}

ModelInfo t5_info(const Json& config, const std::string& where) {
  const T5Config c = read_t5_config(config, where);
  ModelInfo info;
  info.model_type = value_or<std::string>(config, "model_type", "t5", where);
  info.architecture = Architecture::encoder_decoder;
  info.head = HeadForm::none;
  info.hidden = c.hidden;
  info.layers = c.encoder_layers + c.decoder_layers;
  info.heads = c.heads;
  info.vocab = c.vocab;
  info.dropout = c.dropout;
  info.tied = c.tied;
  const int64_t attention = 4 * c.hidden * c.heads * c.head_dim, feed_forward = (c.gated ? 3 : 2) * c.hidden * c.intermediate;
  const int64_t tables = c.bias_in_each_layer ? c.encoder_layers + c.decoder_layers : 2;
  info.parameters = c.vocab * c.hidden * (c.tied ? 1 : 2) + c.encoder_layers * (attention + feed_forward + 2 * c.hidden) +
                    c.decoder_layers * (2 * attention + feed_forward + 3 * c.hidden) + 2 * c.hidden +
                    tables * c.buckets * c.heads;
  info.embedding_parameters = c.vocab * c.hidden + tables * c.buckets * c.heads;
  info.pad_id = optional_id(config, "pad_token_id", where);
  info.decoder_start_id = optional_id(config, "decoder_start_token_id", where);
  if (!info.decoder_start_id) info.decoder_start_id = info.pad_id.value_or(0);
  info.answer_start_id = info.decoder_start_id;
  return info;
}

std::unique_ptr<Backbone> make_t5(const ModelFiles& files, const ModelContext& context) {
  return std::make_unique<T5>(files, context);
}

}  // namespace dept
