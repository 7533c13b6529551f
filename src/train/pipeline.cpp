#include "dept/train/pipeline.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "dept/adapter/submodules.h"
#include "dept/kernels/cross_entropy.h"

namespace dept {
namespace {

// Sums by configuration of one loss value, and of what it counts, a label token or example; `config` names each one's.
BatchLoss sum_by_config(const at::Tensor& values, const at::Tensor& counts, const std::vector<int64_t>& config, int64_t configs) {
  const auto sum = [&](const at::Tensor& x) {
    return at::zeros({configs}, at::kDouble).index_add_(0, at::tensor(config, at::kLong), x.to(at::kCPU, at::kDouble));
  };
  return {sum(values), sum(counts)};
}

// A label's tokens behind every source: the inputs that predict them.
struct LabelRun {
  Ids inputs;   // T5: start, then all but the last; decoder-only: all but the last
  Ids outputs;  // what they predict
};

LabelRun label_run(const EncodeRules& rules, const Ids& label) {
  LabelRun run{{label.begin(), label.end() - 1}, label};
  if (rules.encoder_decoder())
    run.inputs.insert(run.inputs.begin(), rules.decoder_start_id);
  else
    run.outputs.erase(run.outputs.begin());
  return run;
}

// As many sequences without a token of their own: with a prompt in front, the prompt alone.
Ragged no_tokens(const Ragged& of) {
  Ragged empty;
  for (int64_t b = 0; b < of.batch(); ++b) empty.append(0, of.example[b], of.config[b]);
  empty.position = at::zeros({0}, at::kLong);
  return empty;
}

// The same ids behind each of many sequences, of which sequence b has first[b] tokens so far.
Stream repeated(const Backbone& backbone, const Ids& ids, const std::vector<int64_t>& first,
                const std::vector<int64_t>& examples) {
  const int64_t length = static_cast<int64_t>(ids.size()), batch = static_cast<int64_t>(first.size());
  Stream stream;
  for (int64_t b = 0; b < batch; ++b) stream.tokens.append(length, examples[b]);
  stream.tokens.position = (at::tensor(first, at::kLong).unsqueeze(1) + at::arange(length, at::kLong)).flatten();
  stream.embeds = backbone.embed(at::tensor(ids, at::kLong).repeat({batch}));
  return stream;
}

}  // namespace

// An encoder's prompt sees the text.
bool Pipeline::shares_prompt(const Context& ctx) const {
  return rules.architecture == Architecture::decoder && (!ctx.training || backbone->info().dropout == 0);
}

Stream Pipeline::embed_source(const Context& ctx, const Batch& batch) const {
  return apply_dept(source_weights(weights, submodules), scale, batch.source,
                    backbone->embed(batch.source_ids).to(weights.P.scalar_type()), shares_prompt(ctx));
}

Stream Pipeline::embed_target(const Ragged& tokens, const at::Tensor& ids) const {
  return apply_dept(target_weights(weights, submodules), 0, tokens, backbone->embed(ids).to(weights.P.scalar_type()), false);
}

DeptWeights Pipeline::prompt_gradients(const Context& ctx, const Batch& batch, const InputGradients& d_inputs) const {
  DeptWeights gradients = dept_backward(source_weights(weights, submodules), scale, batch.source,
                                        d_inputs.source.to(weights.P.scalar_type()), shares_prompt(ctx));
  if (submodules == 1) return gradients;
  const DeptWeights target =
      dept_backward(target_weights(weights, submodules), 0, batch.target, d_inputs.target.to(weights.P.scalar_type()), false);
  gradients.P = at::cat({gradients.P, target.P}, 1);
  return gradients;
}

BatchLoss Pipeline::loss(const Context& ctx, const Batch& batch, AdapterWeights* gradients) const {
  const Stream source = embed_source(ctx, batch);
  Stream target;
  if (rules.encoder_decoder()) target = embed_target(batch.target, batch.target_ids);

  std::unique_ptr<Saved> saved;
  const at::Tensor hidden =
      backbone->forward(ctx, source, rules.encoder_decoder() ? &target : nullptr, gradients ? &saved : nullptr);
  const Judged judged =
      has_head() ? judge_texts(ctx, batch, hidden, gradients) : judge_tokens(ctx, batch, hidden, gradients != nullptr);
  if (gradients) {
    const InputGradients d_inputs = backbone->backward(ctx, std::move(saved), judged.d_hidden);
    static_cast<DeptWeights&>(*gradients) = prompt_gradients(ctx, batch, d_inputs);
  }
  return judged.loss;
}

// By the language-model head, at the label tokens.
Pipeline::Judged Pipeline::judge_tokens(const Context& ctx, const Batch& batch, const at::Tensor& hidden,
                                        bool with_gradient) const {
  const int64_t configs = weights.P.size(0), prompt = weights.P.size(1) / submodules;
  const Ragged& predicting = rules.encoder_decoder() ? batch.target : batch.source;
  const int64_t in_front = rules.encoder_decoder() ? weights.P.size(1) - prompt : prompt;
  const at::Tensor text = text_token_index(predicting, in_front, shares_prompt(ctx), configs);
  at::Tensor at_labels = text.index_select(0, batch.label_token.clamp_min(0));
  at_labels.masked_fill_(batch.label_token.lt(0), in_front - 1);  // of a shared prompt
  at::Tensor d_logits;
  const at::Tensor nll = kernels::cross_entropy(backbone->logits(ctx, hidden.index_select(0, at_labels)), batch.labels,
                                                with_gradient ? &d_logits : nullptr, label_smoothing, ctx.kernels);
  std::vector<int64_t> config;
  for (int64_t sequence : batch.label_sequence) config.push_back(predicting.config[sequence]);
  Judged judged{sum_by_config(nll, at::ones_like(nll), config, configs), {}};
  if (with_gradient) {
    const at::Tensor d_rows = backbone->logits_backward(ctx, d_logits);
    judged.d_hidden = at::zeros(hidden.sizes(), d_rows.options()).index_copy_(0, at_labels, d_rows);
  }
  return judged;
}

PooledTokens Pipeline::pooled(const Context& ctx, const Batch& batch) const {
  return pooled_tokens(pooling, batch.source, weights.P.size(1), shares_prompt(ctx), weights.P.size(0));
}

// What the head sees of each text.
at::Tensor Pipeline::pooled_state(const PooledTokens& tokens, const Batch& batch, const at::Tensor& hidden) const {
  const at::Tensor state = pool(tokens, hidden, batch.source.batch(), weights.out.scalar_type());
  return pooling == Pooling::mean ? state : backbone->pool(state);
}

// By the classification head, once a text.
Pipeline::Judged Pipeline::judge_texts(const Context& ctx, const Batch& batch, const at::Tensor& hidden,
                                       AdapterWeights* gradients) const {
  const double p = backbone->info().head_dropout;
  const PooledTokens tokens = pooled(ctx, batch);
  const at::Tensor state = pooled_state(tokens, batch, hidden);
  HeadSaved saved;
  at::Tensor d_logits;
  const at::Tensor losses = head_loss(head_forward(ctx, weights, batch.source, p, state, gradients ? &saved : nullptr),
                                      batch.values, gradients ? &d_logits : nullptr, label_smoothing, class_weights, ctx.kernels);
  Judged judged{sum_by_config(losses, example_weights(batch.values, class_weights), batch.source.config, weights.P.size(0)), {}};
  if (gradients) {
    HeadGradients d = head_backward(ctx, weights, batch.source, p, saved, d_logits);
    static_cast<HeadWeights&>(*gradients) = std::move(d.weights);
    if (pooling != Pooling::mean) d.x = backbone->pool_backward(d.x, state);
    judged.d_hidden = pool_backward(tokens, d.x, hidden.size(0));
  }
  return judged;
}

at::Tensor Pipeline::head_logits(const Context& ctx, const Batch& batch) const {
  const at::Tensor hidden = backbone->forward(ctx, embed_source(ctx, batch), nullptr, nullptr);
  const at::Tensor state = pooled_state(pooled(ctx, batch), batch, hidden);
  return head_forward(ctx, weights, batch.source, backbone->info().head_dropout, state, nullptr).to(at::kCPU, at::kDouble);
}

Batch Pipeline::source_batch(std::span<const Example> sources) const {
  std::vector<Example> examples(sources.begin(), sources.end());
  for (Example& example : examples) example.target = {0};  // its input is what stands before it: the source alone
  return collate(rules, examples, Purpose::answering);
}

std::vector<LabelNll> Pipeline::label_nll(const Context& ctx, std::span<const Example> sources,
                                          std::span<const Ids> labels) const {
  const Batch batch = source_batch(sources);
  const Stream source = embed_source(ctx, batch);
  const int64_t count = static_cast<int64_t>(sources.size()), prompt = weights.P.size(1) / submodules;
  const int64_t decoder_prompt = weights.P.size(1) - prompt;
  const int64_t prompts = rules.encoder_decoder() ? 0 : source.tokens.batch() - count;
  int64_t longest = 1;
  for (const Ids& label : labels) longest = std::max<int64_t>(longest, static_cast<int64_t>(label.size()));

  const int64_t expected = longest * static_cast<int64_t>(labels.size());
  const std::unique_ptr<KvCache> cache = backbone->start(ctx, source, prompts + count, decoder_prompt + expected);
  std::vector<int64_t> slots(count), held(count), position(count);
  std::iota(slots.begin(), slots.end(), prompts);
  at::Tensor first_logits;  // decoder-only: of the token behind each source
  if (!rules.encoder_decoder()) {
    std::vector<int64_t> all(prompts + count);
    std::iota(all.begin(), all.end(), 0);
    const at::Tensor hidden = backbone->extend(ctx, *cache, source, all);
    const at::Tensor text = text_token_index(batch.source, prompt, shares_prompt(ctx), weights.P.size(0));
    first_logits = backbone->logits(ctx, hidden.index_select(0, text.index_select(0, batch.label_token)));
    for (int64_t b = 0; b < count; ++b) {
      held[b] = backbone->length(*cache, slots[b]);
      position[b] = prompt + batch.source.length(b);
    }
  } else if (decoder_prompt > 0) {
    backbone->extend(ctx, *cache, embed_target(no_tokens(batch.target), at::zeros({0}, at::kLong)), slots);
    std::fill(held.begin(), held.end(), decoder_prompt);
    position = held;
  }

  std::vector<LabelNll> results(count);
  for (const Ids& label : labels) {
    at::Tensor nll = at::zeros({count}, at::kDouble);
    if (first_logits.defined())
      nll +=
          kernels::cross_entropy(first_logits, at::full({count}, label[0], at::kLong), nullptr, 0, ctx.kernels).to(at::kDouble);
    if (const LabelRun run = label_run(rules, label); !run.inputs.empty()) {
      const at::Tensor hidden =
          backbone->extend(ctx, *cache, repeated(*backbone, run.inputs, position, batch.source.example), slots);
      const at::Tensor outputs = at::tensor(run.outputs, at::kLong).repeat({count});
      nll += kernels::cross_entropy(backbone->logits(ctx, hidden), outputs, nullptr, 0, ctx.kernels)
                 .to(at::kDouble)
                 .view({count, -1})
                 .sum(1);
      for (int64_t b = 0; b < count; ++b) backbone->rewind(*cache, slots[b], held[b]);
    }
    for (int64_t b = 0; b < count; ++b) {
      results[b].nll.push_back(nll[b].item<double>());
      results[b].tokens.push_back(static_cast<int64_t>(label.size()));
    }
  }
  return results;
}

std::vector<std::string> Pipeline::answers(const Context& ctx, std::span<const Example> sources,
                                           const GenerationOptions& options) const {
  std::vector<std::string> texts;
  const at::Tensor decoder_prompt = target_weights(weights, submodules).P.to(ctx.residual());
  for (const auto& answers : generate(ctx, *backbone, {embed_source(ctx, source_batch(sources)), {}, decoder_prompt}, options))
    texts.push_back(tokenizer->decode_written(answers.front().ids));
  return texts;
}

std::vector<double> label_shares(const std::vector<double>& nll) {
  const double best = *std::min_element(nll.begin(), nll.end());
  std::vector<double> shares;
  double sum = 0;
  for (double value : nll) sum += shares.emplace_back(std::exp(best - value));
  for (double& share : shares) share /= sum;
  return shares;
}

AdapterWeights no_adapter(int64_t hidden) {
  return {{at::zeros({1, 0, hidden}), at::zeros({1, 0, 0}), at::zeros({1, 0, hidden})}};
}

}  // namespace dept
