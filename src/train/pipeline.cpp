#include "dept/train/pipeline.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <numeric>

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
Stream repeated(const TextModel& backbone, const Ids& ids, const std::vector<int64_t>& first,
                const std::vector<int64_t>& examples) {
  const int64_t length = static_cast<int64_t>(ids.size()), batch = static_cast<int64_t>(first.size());
  Stream stream;
  for (int64_t b = 0; b < batch; ++b) stream.tokens.append(length, examples[b]);
  stream.tokens.position = (at::tensor(first, at::kLong).unsqueeze(1) + at::arange(length, at::kLong)).flatten();
  stream.embeds = backbone.embed(at::tensor(ids, at::kLong).repeat({batch}));
  return stream;
}

}  // namespace

Call Pipeline::backbone_call(Call call) const {
  call.training = call.training && backbone_dropout;
  return call;
}

// A decoder's prompt sees no text and stands once, unless dropout makes its copies differ.
AdapterCall Pipeline::adapter_call(const Call& call) const {
  const bool drops = backbone_call(call).training && backbone->info().dropout > 0;
  return {call, backbone->context().kernels, rules.architecture == Architecture::decoder && !drops};
}

// A folded adapter changes the tokens of sources, which have a row, and leaves answers behind them.
at::Tensor Pipeline::embed(const Ragged& tokens, const at::Tensor& ids) const {
  const at::Tensor E = backbone->embed(ids).to(weights.input->dtype());
  return word_embeddings.defined() ? at::where(tokens.row.ge(0).unsqueeze(1), word_embeddings.index_select(0, ids), E) : E;
}

AdaptedBatch Pipeline::adapt_source(const Call& call, const Ragged& tokens, const at::Tensor& ids) const {
  return weights.input->apply(adapter_call(call), {tokens, embed(tokens, ids)}, nullptr);
}

AdaptedBatch Pipeline::adapt(const Call& call, const Batch& batch) const {
  if (!rules.encoder_decoder()) return adapt_source(call, batch.source, batch.source_ids);
  const Stream target{batch.target, backbone->embed(batch.target_ids).to(weights.input->dtype())};
  return weights.input->apply(adapter_call(call), {batch.source, embed(batch.source, batch.source_ids)}, &target);
}

void Pipeline::fold() {
  if (weights.input->max_text() > 0) return;  // rows of A·B are as cheap as they are
  const auto all_words = [&] {
    return backbone->embed(at::arange(backbone->info().vocab, at::kLong)).to(weights.input->dtype());
  };
  const FoldedAdapter folded = weights.input->fold(all_words);
  if (folded.table.defined()) word_embeddings = folded.table[0];
  weights.input = prompt_alone(folded, weights.input->shape().submodules);
}

BatchLoss Pipeline::loss(const Call& call, const Batch& batch, Gradients* gradients) const {
  const AdaptedBatch inputs = adapt(call, batch);
  std::unique_ptr<Saved> saved;
  const at::Tensor hidden = backbone->forward(backbone_call(call), inputs.source.stream,
                                              inputs.target ? &inputs.target->stream : nullptr, gradients ? &saved : nullptr);
  const PromptLayout& layout = inputs.target ? inputs.target->layout : inputs.source.layout;
  Gradients of_head;
  const Judged judged = has_head() ? judge_texts(call, batch, layout, hidden, gradients ? &of_head : nullptr)
                                   : judge_tokens(batch, layout, hidden, gradients != nullptr);
  if (gradients) {
    InputGradients d = backbone->backward(std::move(saved), judged.d_hidden);
    d.source = d.source.to(weights.input->dtype());
    if (d.target.defined()) d.target = d.target.to(weights.input->dtype());
    *gradients = weights.input->backward(inputs, d);
    gradients->insert(gradients->end(), of_head.begin(), of_head.end());
  }
  return judged.loss;
}

// By the language-model head, at the label tokens.
Pipeline::Judged Pipeline::judge_tokens(const Batch& batch, const PromptLayout& layout, const at::Tensor& hidden,
                                        bool with_gradient) const {
  const Ragged& predicting = rules.encoder_decoder() ? batch.target : batch.source;
  at::Tensor at_labels = layout.text.index_select(0, batch.label_token.clamp_min(0));
  at_labels.masked_fill_(batch.label_token.lt(0), layout.prompt - 1);  // of a shared prompt
  at::Tensor d_logits;
  const TextModel& model = text_model();
  const at::Tensor nll = kernels::cross_entropy(model.logits(hidden.index_select(0, at_labels)), batch.labels,
                                                with_gradient ? &d_logits : nullptr, label_smoothing, model.context().kernels);
  std::vector<int64_t> config;
  for (int64_t sequence : batch.label_sequence) config.push_back(predicting.config[sequence]);
  Judged judged{sum_by_config(nll, at::ones_like(nll), config, weights.configs()), {}};
  if (with_gradient) {
    const at::Tensor d_rows = model.logits_backward(d_logits);
    judged.d_hidden = at::zeros(hidden.sizes(), d_rows.options()).index_copy_(0, at_labels, d_rows);
  }
  return judged;
}

// What the head sees of each text.
at::Tensor Pipeline::pooled_state(const PooledTokens& tokens, const Batch& batch, const at::Tensor& hidden) const {
  const at::Tensor state = pool(tokens, hidden, batch.source.batch(), weights.head.out.scalar_type());
  return pooling == Pooling::mean ? state : backbone->pool(state);
}

// By the classification head, once a text.
Pipeline::Judged Pipeline::judge_texts(const Call& call, const Batch& batch, const PromptLayout& layout, const at::Tensor& hidden,
                                       Gradients* gradients) const {
  const Kernels kernels = backbone->context().kernels;
  const PooledTokens tokens = pooled_tokens(pooling, batch.source, layout);
  const at::Tensor state = pooled_state(tokens, batch, hidden);
  HeadSaved saved;
  at::Tensor d_logits;
  const at::Tensor logits = head_forward(call, weights.head, batch.source, backbone->info().head_dropout, state,
                                         gradients ? &saved : nullptr, kernels);
  const at::Tensor losses =
      head_loss(logits, batch.values, gradients ? &d_logits : nullptr, label_smoothing, class_weights, kernels);
  Judged judged{sum_by_config(losses, example_weights(batch.values, class_weights), batch.source.config, weights.configs()), {}};
  if (gradients) {
    HeadGradients d = head_backward(weights.head, batch.source, saved, d_logits);
    *gradients = std::move(d.parameters);
    if (pooling != Pooling::mean) d.x = backbone->pool_backward(d.x, state);
    judged.d_hidden = pool_backward(tokens, d.x, hidden.size(0));
  }
  return judged;
}

at::Tensor Pipeline::head_logits(const Batch& batch) const {
  const Call call;
  const AdaptedText source = std::move(adapt_source(call, batch.source, batch.source_ids).source);
  const at::Tensor hidden = backbone->forward(call, source.stream, nullptr, nullptr);
  const at::Tensor state = pooled_state(pooled_tokens(pooling, batch.source, source.layout), batch, hidden);
  return head_forward(call, weights.head, batch.source, 0, state, nullptr).to(at::kCPU, at::kDouble);
}

Batch Pipeline::source_batch(std::span<const Example> sources) const {
  std::vector<Example> examples(sources.begin(), sources.end());
  for (Example& example : examples) example.target = {0};  // its input is what stands before it: the source alone
  return collate(rules, examples, Purpose::answering);
}

std::vector<LabelNll> Pipeline::label_nll(std::span<const Example> sources, std::span<const Ids> labels) const {
  const TextModel& model = text_model();
  const Kernels kernels = model.context().kernels;
  const Batch batch = source_batch(sources);
  const auto [source, layout] = std::move(adapt_source({}, batch.source, batch.source_ids).source);
  const int64_t count = static_cast<int64_t>(sources.size()), decoder_prompt = weights.input->decoder_prompt_tokens();
  const int64_t prompts = rules.encoder_decoder() ? 0 : source.tokens.batch() - count;
  int64_t longest = 1;
  for (const Ids& label : labels) longest = std::max<int64_t>(longest, static_cast<int64_t>(label.size()));

  const int64_t expected = longest * static_cast<int64_t>(labels.size());
  const std::unique_ptr<KvCache> cache = model.start(source, prompts + count, decoder_prompt + expected);
  std::vector<int64_t> slots(count), held(count), position(count);
  std::iota(slots.begin(), slots.end(), prompts);
  at::Tensor first_logits;  // decoder-only: of the token behind each source
  if (!rules.encoder_decoder()) {
    std::vector<int64_t> all(prompts + count);
    std::iota(all.begin(), all.end(), 0);
    const at::Tensor hidden = model.extend(*cache, source, all);
    first_logits = model.logits(hidden.index_select(0, layout.text.index_select(0, batch.label_token)));
    for (int64_t b = 0; b < count; ++b) {
      held[b] = model.length(*cache, slots[b]);
      position[b] = layout.prompt + batch.source.length(b);
    }
  } else if (decoder_prompt > 0) {
    const at::Tensor none = at::zeros({0, weights.input->shape().width}, weights.input->parameters().front().value.options());
    model.extend(*cache, weights.input->apply_to_target({no_tokens(batch.target), none}).stream, slots);
    std::fill(held.begin(), held.end(), decoder_prompt);
    position = held;
  }

  std::vector<LabelNll> results(count);
  for (const Ids& label : labels) {
    at::Tensor nll = at::zeros({count}, at::kDouble);
    if (first_logits.defined())
      nll += kernels::cross_entropy(first_logits, at::full({count}, label[0], at::kLong), nullptr, 0, kernels).to(at::kDouble);
    if (const LabelRun run = label_run(rules, label); !run.inputs.empty()) {
      const at::Tensor hidden = model.extend(*cache, repeated(model, run.inputs, position, batch.source.example), slots);
      const at::Tensor outputs = at::tensor(run.outputs, at::kLong).repeat({count});
      nll += kernels::cross_entropy(model.logits(hidden), outputs, nullptr, 0, kernels)
                 .to(at::kDouble)
                 .view({count, -1})
                 .sum(1);
      for (int64_t b = 0; b < count; ++b) model.rewind(*cache, slots[b], held[b]);
    }
    for (int64_t b = 0; b < count; ++b) {
      results[b].nll.push_back(nll[b].item<double>());
      results[b].tokens.push_back(static_cast<int64_t>(label.size()));
    }
  }
  return results;
}

std::vector<std::string> Pipeline::answers(std::span<const Example> sources, const GenerationOptions& options) const {
  std::vector<std::string> texts;
  const at::Tensor decoder_prompt = weights.input->decoder_prompt().to(backbone->context().residual());
  const Batch batch = source_batch(sources);
  const Stream source = adapt_source({}, batch.source, batch.source_ids).source.stream;
  for (const auto& answers : generate(text_model(), {source, {}, decoder_prompt}, options))
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

}  // namespace dept
