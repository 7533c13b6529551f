#include "padded_reference.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>

#include "dept/tensor/dropout_key.h"

namespace dept {
namespace {

using at::Tensor;

int64_t longest(const std::vector<int64_t>& lengths) {
  return *std::max_element(lengths.begin(), lengths.end());
}

/// Sequences [n, D] as [B, S, D], zeros behind each.
Tensor pad(const std::vector<Tensor>& sequences) {
  int64_t S = 0;
  for (const Tensor& x : sequences) S = std::max(S, x.size(0));
  std::vector<Tensor> padded;
  for (const Tensor& x : sequences) padded.push_back(at::cat({x, at::zeros({S - x.size(0), x.size(1)}, x.options())}));
  return at::stack(padded);
}

/// [B, 1, 1, S]: 0 at tokens, minus infinity behind them.
Tensor key_mask(const std::vector<int64_t>& lengths) {
  Tensor mask = at::zeros({static_cast<int64_t>(lengths.size()), 1, 1, longest(lengths)}, at::kDouble);
  for (size_t b = 0; b < lengths.size(); ++b) mask[b].narrow(2, lengths[b], mask.size(3) - lengths[b]).fill_(-INFINITY);
  return mask;
}

Tensor causal_mask(int64_t S) {
  return at::full({S, S}, -INFINITY, at::kDouble).triu(1);
}

Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& added, const Tensor& kept) {
  const Tensor probabilities = at::softmax(at::matmul(q, k.transpose(2, 3)) + added, -1) * kept;
  return at::matmul(probabilities, v).transpose(1, 2).flatten(2);
}

int64_t t5_bucket(int64_t relative, bool both, int64_t buckets, int64_t far) {
  int64_t bucket = 0;
  if (both) {
    buckets /= 2;
    if (relative > 0) bucket += buckets;
    relative = std::abs(relative);
  } else {
    relative = relative > 0 ? 0 : -relative;
  }
  const int64_t exact = buckets / 2;
  if (relative < exact) return bucket + relative;
  const double logarithmic = std::log(static_cast<double>(relative) / exact) / std::log(static_cast<double>(far) / exact);
  return bucket + std::min(buckets - 1, exact + static_cast<int64_t>(logarithmic * (buckets - exact)));
}

}  // namespace

/// The dropout of one batch: masks already scaled, ones when it is off.
struct PaddedReference::Run {
  std::vector<int64_t> examples;
  double p = 0;
  uint64_t seed = 0;
  uint32_t micro_step = 0;

  double factor(size_t b, int64_t layer, Site site, int64_t element) const {
    const DropoutStream stream(seed, micro_step, examples[b], layer, site);
    return stream.number(static_cast<uint64_t>(element)) < dropout_threshold(p) ? 0 : dropout_scale(p);
  }
  /// [B, S, C] for tokens.
  Tensor tokens(int64_t layer, Site site, const std::vector<int64_t>& lengths, int64_t C) const {
    Tensor mask = at::ones({static_cast<int64_t>(lengths.size()), longest(lengths), C}, at::kDouble);
    auto cell = mask.accessor<double, 3>();
    for (size_t b = 0; p > 0 && b < lengths.size(); ++b)
      for (int64_t t = 0; t < lengths[b]; ++t)
        for (int64_t c = 0; c < C; ++c) cell[b][t][c] = factor(b, layer, site, t * C + c);
    return mask;
  }
  /// [B, H, Sq, Sk] for attention.
  Tensor probabilities(int64_t layer, Site site, int64_t H, const std::vector<int64_t>& q, const std::vector<int64_t>& k) const {
    Tensor mask = at::ones({static_cast<int64_t>(q.size()), H, longest(q), longest(k)}, at::kDouble);
    auto cell = mask.accessor<double, 4>();
    for (size_t b = 0; p > 0 && b < q.size(); ++b)
      for (int64_t h = 0; h < H; ++h)
        for (int64_t i = 0; i < q[b]; ++i)
          for (int64_t j = 0; j < k[b]; ++j) cell[b][h][i][j] = factor(b, layer, site, (h * q[b] + i) * k[b] + j);
    return mask;
  }
};

PaddedReference::PaddedReference(const fs::path& model)
    : file_(open_weights(model)), config_(read_json(model / "config.json")), t5_(config_["model_type"] == "t5") {}

Tensor PaddedReference::weight(const std::string& name) const {
  return file_->read(name + ".weight").to(at::kDouble);
}
Tensor PaddedReference::linear(const Tensor& x, const std::string& name) const {
  return at::matmul(x, weight(name).t());
}
Tensor PaddedReference::norm(const Tensor& x, const std::string& name) const {
  const double eps = config_[t5_ ? "layer_norm_epsilon" : "rms_norm_eps"].get<double>();
  return x / (x.square().mean(-1, true) + eps).sqrt() * weight(name);
}
Tensor PaddedReference::heads(const Tensor& x, int64_t count) const {
  return x.view({x.size(0), x.size(1), count, -1}).transpose(1, 2);
}

Tensor PaddedReference::t5_bias(const std::string& stack, int64_t queries, int64_t keys, bool both) const {
  Tensor bucket = at::empty({queries, keys}, at::kLong);
  const auto buckets = config_["relative_attention_num_buckets"].get<int64_t>();
  const auto far = config_["relative_attention_max_distance"].get<int64_t>();
  for (int64_t i = 0; i < queries; ++i)
    for (int64_t j = 0; j < keys; ++j) bucket[i][j] = t5_bucket(j - i, both, buckets, far);
  return at::embedding(weight(stack + ".block.0.layer.0.SelfAttention.relative_attention_bias"), bucket).permute({2, 0, 1});
}

Tensor PaddedReference::t5_stack(const Run& run, const std::string& stack, Tensor h, const std::vector<int64_t>& lengths,
                                 const Tensor& memory, const std::vector<int64_t>& memory_lengths) const {
  const bool decoder = memory.defined();
  const int64_t base = decoder ? decoder_layer_base : 0, S = h.size(1);
  const auto layers = config_[decoder ? "num_decoder_layers" : "num_layers"].get<int64_t>();
  const auto H = config_["num_heads"].get<int64_t>();
  const auto drop = [&](const Tensor& x, int64_t layer, Site site) {
    return x * run.tokens(base + layer, site, lengths, x.size(2));
  };
  Tensor self_mask = t5_bias(stack, S, S, !decoder) + key_mask(lengths);
  if (decoder) self_mask = self_mask + causal_mask(S);

  h = drop(h, 0, Site::embedding);
  for (int64_t i = 0; i < layers; ++i) {
    const std::string layer = stack + ".block." + std::to_string(i) + ".layer.";
    const auto attention = [&](const std::string& name, const Tensor& x, const Tensor& source, const Tensor& mask,
                               const Tensor& kept) {
      return linear(attend(heads(linear(x, name + ".q"), H), heads(linear(source, name + ".k"), H),
                           heads(linear(source, name + ".v"), H), mask, kept),
                    name + ".o");
    };
    Tensor x = norm(h, layer + "0.layer_norm");
    x = attention(layer + "0.SelfAttention", x, x, self_mask,
                  run.probabilities(base + i, Site::self_attention_probabilities, H, lengths, lengths));
    h = h + drop(x, i, Site::self_attention_output);
    if (decoder) {
      x = attention(layer + "1.EncDecAttention", norm(h, layer + "1.layer_norm"), memory, key_mask(memory_lengths),
                    run.probabilities(base + i, Site::cross_attention_probabilities, H, lengths, memory_lengths));
      h = h + drop(x, i, Site::cross_attention_output);
    }
    const std::string last = layer + (decoder ? "2." : "1.");
    x = linear(norm(h, last + "layer_norm"), last + "DenseReluDense.wi").relu();
    x = linear(drop(x, i, Site::feed_forward_inner), last + "DenseReluDense.wo");
    h = h + drop(x, i, Site::feed_forward_output);
  }
  return drop(norm(h, stack + ".final_layer_norm"), layers, Site::final_output);
}

Tensor PaddedReference::llama(Tensor h, const std::vector<int64_t>& lengths) const {
  const int64_t S = h.size(1), K = config_["head_dim"].get<int64_t>();
  const auto H = config_["num_attention_heads"].get<int64_t>(), groups = config_["num_key_value_heads"].get<int64_t>();
  const double theta = config_["rope_parameters"]["rope_theta"].get<double>();
  const Tensor frequency = at::pow(theta, at::arange(0, K, 2, at::kDouble) / static_cast<double>(-K));
  const Tensor half = at::arange(S, at::kDouble).unsqueeze(1) * frequency;
  const Tensor angle = at::cat({half, half}, 1);
  const auto rotate = [&](const Tensor& x) {
    return x * angle.cos() + at::cat({-x.narrow(3, K / 2, K / 2), x.narrow(3, 0, K / 2)}, 3) * angle.sin();
  };
  const Tensor mask = causal_mask(S) + key_mask(lengths);
  for (int64_t i = 0; i < config_["num_hidden_layers"].get<int64_t>(); ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    Tensor x = norm(h, layer + "input_layernorm");
    const Tensor q = rotate(heads(linear(x, layer + "self_attn.q_proj"), H)) / std::sqrt(static_cast<double>(K));
    const Tensor k = rotate(heads(linear(x, layer + "self_attn.k_proj"), groups)).repeat_interleave(H / groups, 1);
    const Tensor v = heads(linear(x, layer + "self_attn.v_proj"), groups).repeat_interleave(H / groups, 1);
    h = h + linear(attend(q, k, v, mask, at::ones({1}, at::kDouble)), layer + "self_attn.o_proj");
    x = norm(h, layer + "post_attention_layernorm");
    x = at::silu(linear(x, layer + "mlp.gate_proj")) * linear(x, layer + "mlp.up_proj");
    h = h + linear(x, layer + "mlp.down_proj");
  }
  return norm(h, "model.norm");
}

PaddedResult PaddedReference::run(const DeptWeights& weights, double scale, std::span<const Example> examples, bool dropout,
                                  uint64_t seed, uint32_t micro_step, DeltaAlignment alignment) const {
  const auto leaf = [](const Tensor& t) { return t[0].clone().set_requires_grad(true); };
  const Tensor P = leaf(weights.P), A = leaf(weights.A), B = leaf(weights.B);
  const Tensor delta = scale * at::matmul(A, B), table = weight(t5_ ? "shared" : "model.embed_tokens");
  const auto embed = [&](const Ids& ids) { return table.index_select(0, at::tensor(ids)); };
  const auto size = [](const auto& list) { return static_cast<int64_t>(list.size()); };

  Run keys{{}, dropout && t5_ ? config_["dropout_rate"].get<double>() : 0, seed, micro_step};
  std::vector<Tensor> sources, targets;
  std::vector<int64_t> source_lengths, target_lengths;
  for (const Example& example : examples) {
    const int64_t L = size(example.source);
    Ids inputs(example.target.begin(), example.target.end() - 1);
    if (t5_) inputs.insert(inputs.begin(), config_["decoder_start_token_id"].get<int64_t>());
    const int64_t first = t5_ || alignment == DeltaAlignment::start ? 0 : delta.size(0) - L;
    std::vector<Tensor> parts{P, embed(example.source) + delta.narrow(0, first, L)};
    if (!t5_ && !inputs.empty()) parts.push_back(embed(inputs));
    sources.push_back(at::cat(parts));
    source_lengths.push_back(sources.back().size(0));
    if (t5_) targets.push_back(embed(inputs));
    target_lengths.push_back(size(inputs));
    keys.examples.push_back(example.index);
  }

  Tensor hidden = pad(sources);
  if (t5_) {
    const Tensor memory = t5_stack(keys, "encoder", hidden, source_lengths, {}, {});
    hidden = t5_stack(keys, "decoder", pad(targets), target_lengths, memory, source_lengths) /
             std::sqrt(static_cast<double>(hidden.size(2)));
  } else {
    hidden = llama(hidden, source_lengths);
  }
  Tensor nll = at::zeros({}, at::kDouble);
  for (size_t b = 0; b < examples.size(); ++b) {
    const int64_t labels = size(examples[b].target), first = t5_ ? 0 : source_lengths[b] - labels;
    const Tensor scores = at::log_softmax(at::matmul(hidden[b].narrow(0, first, labels), table.t()), -1);
    nll = nll - scores.gather(1, at::tensor(examples[b].target).unsqueeze(1)).sum();
  }
  nll.backward();
  return {nll.item<double>(), {P.grad().unsqueeze(0), A.grad().unsqueeze(0), B.grad().unsqueeze(0)}};
}

}  // namespace dept
