#include "dept/train/pipeline.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "dept/kernels/cross_entropy.h"

namespace dept {
namespace {

// One sum a configuration from one value a label token.
at::Tensor sum_by_config(const at::Tensor& values, const Batch& batch, const Ragged& labelled, int64_t configs) {
  std::vector<int64_t> config;
  for (int64_t sequence : batch.label_sequence) config.push_back(labelled.config[sequence]);
  return at::zeros({configs}, at::kDouble).index_add_(0, at::tensor(config, at::kLong), values.to(at::kCPU, at::kDouble));
}

// A label's tokens behind every source: the inputs that predict them.
struct LabelRun {
  Ids inputs;   // T5: start, then all but the last; decoder-only: all but the last
  Ids outputs;  // what they predict
};

LabelRun label_run(const EncodeRules& rules, const Ids& label) {
  LabelRun run{{label.begin(), label.end() - 1}, label};
  if (rules.encoder_decoder)
    run.inputs.insert(run.inputs.begin(), rules.decoder_start_id);
  else
    run.outputs.erase(run.outputs.begin());
  return run;
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

bool Pipeline::shares_prompt(const Context& ctx) const {
  return !rules.encoder_decoder && (!ctx.training || backbone->info().dropout == 0);
}

Stream Pipeline::embed_source(const Context& ctx, const Batch& batch) const {
  return apply_dept(weights, scale, batch.source, backbone->embed(batch.source_ids).to(weights.P.scalar_type()),
                    shares_prompt(ctx));
}

BatchLoss Pipeline::loss(const Context& ctx, const Batch& batch, DeptWeights* gradients) const {
  const bool share = shares_prompt(ctx);
  const int64_t configs = weights.P.size(0), prompt = weights.P.size(1);
  const Stream source = embed_source(ctx, batch);
  Stream target;
  if (rules.encoder_decoder) target = {batch.target, backbone->embed(batch.target_ids)};

  std::unique_ptr<Saved> saved;
  const at::Tensor hidden =
      backbone->forward(ctx, source, rules.encoder_decoder ? &target : nullptr, gradients ? &saved : nullptr);
  const at::Tensor at_labels = rules.encoder_decoder
                                   ? batch.label_token
                                   : text_token_index(batch.source, prompt, share, configs).index_select(0, batch.label_token);
  at::Tensor d_logits;
  const at::Tensor nll = kernels::cross_entropy(backbone->logits(ctx, hidden.index_select(0, at_labels)), batch.labels,
                                                gradients ? &d_logits : nullptr);
  if (gradients) {
    const at::Tensor d_rows = backbone->logits_backward(ctx, d_logits);
    const at::Tensor d_hidden = at::zeros(hidden.sizes(), d_rows.options()).index_copy_(0, at_labels, d_rows);
    const InputGradients d_inputs = backbone->backward(ctx, std::move(saved), d_hidden);
    *gradients = dept_backward(weights, scale, batch.source, d_inputs.source.to(weights.P.scalar_type()), share);
  }
  const Ragged& labelled = rules.encoder_decoder ? batch.target : batch.source;
  return {sum_by_config(nll, batch, labelled, configs), sum_by_config(at::ones_like(nll), batch, labelled, configs)};
}

Batch Pipeline::source_batch(std::span<const Example> sources) const {
  std::vector<Example> examples(sources.begin(), sources.end());
  for (Example& example : examples) example.target = {0};  // its input is what stands before it: the source alone
  return collate(rules, examples);
}

std::vector<LabelNll> Pipeline::label_nll(const Context& ctx, std::span<const Example> sources,
                                          std::span<const Ids> labels) const {
  const Batch batch = source_batch(sources);
  const Stream source = embed_source(ctx, batch);
  const int64_t count = static_cast<int64_t>(sources.size()), prompt = weights.P.size(1);
  const int64_t prompts = rules.encoder_decoder ? 0 : source.tokens.batch() - count;
  int64_t longest = 1;
  for (const Ids& label : labels) longest = std::max<int64_t>(longest, static_cast<int64_t>(label.size()));

  const int64_t expected = longest * static_cast<int64_t>(labels.size());
  const std::unique_ptr<KvCache> cache = backbone->start(ctx, source, prompts + count, expected);
  std::vector<int64_t> slots(count), held(count), position(count);
  std::iota(slots.begin(), slots.end(), prompts);
  at::Tensor first_logits;  // decoder-only: of the token behind each source
  if (!rules.encoder_decoder) {
    std::vector<int64_t> all(prompts + count);
    std::iota(all.begin(), all.end(), 0);
    const at::Tensor hidden = backbone->extend(ctx, *cache, source, all);
    const at::Tensor text = text_token_index(batch.source, prompt, shares_prompt(ctx), weights.P.size(0));
    first_logits = backbone->logits(ctx, hidden.index_select(0, text.index_select(0, batch.label_token)));
    for (int64_t b = 0; b < count; ++b) {
      held[b] = backbone->length(*cache, slots[b]);
      position[b] = prompt + batch.source.length(b);
    }
  }

  std::vector<LabelNll> results(count);
  for (const Ids& label : labels) {
    at::Tensor nll = at::zeros({count}, at::kDouble);
    if (first_logits.defined())
      nll += kernels::cross_entropy(first_logits, at::full({count}, label[0], at::kLong)).to(at::kDouble);
    if (const LabelRun run = label_run(rules, label); !run.inputs.empty()) {
      const at::Tensor hidden =
          backbone->extend(ctx, *cache, repeated(*backbone, run.inputs, position, batch.source.example), slots);
      const at::Tensor outputs = at::tensor(run.outputs, at::kLong).repeat({count});
      nll += kernels::cross_entropy(backbone->logits(ctx, hidden), outputs).to(at::kDouble).view({count, -1}).sum(1);
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
  for (const auto& answers : generate(ctx, *backbone, {embed_source(ctx, source_batch(sources)), {}, {}}, options))
    texts.push_back(tokenizer->decode(answers.front().ids));
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

DeptWeights no_adapter(int64_t hidden) {
  return {at::zeros({1, 0, hidden}), at::zeros({1, 0, 0}), at::zeros({1, 0, hidden})};
}

}  // namespace dept
