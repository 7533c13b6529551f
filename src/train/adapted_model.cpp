#include "dept/adapted_model.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/kernels/cross_entropy.h"
#include "dept/kernels/graphs.h"
#include "dept/kernels/row_sums.h"
#include "dept/models/graphed.h"
#include "dept/tensor/upload.h"
#include "dept/train/label_run.h"
#include "dept/train/mixed_head.h"
#include "dept/train/model_parts.h"
#include "train/filler.h"

namespace dept {
namespace {

// Sums by configuration of one loss value, and of what it counts, a label token or example; `config` names each one's.
BatchLoss sum_by_config(const at::Tensor& values, const at::Tensor& counts, const std::vector<int64_t>& config, int64_t configs) {
  const auto sum = [&](const at::Tensor& x) { return kernels::row_sums(x.to(at::kDouble), config, configs); };
  return {sum(values), sum(counts)};
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

// The last prompt token in front of text b. Throws bad_input where there is no prompt.
int64_t last_prompt_token(const PromptLayout& layout, const Ragged& texts, int64_t b) {
  const int64_t M = layout.prompt;
  if (M == 0) fail(Code::bad_input, "labels", "a token in front of each, as there is no prompt", "none in front of the first");
  return (layout.shared ? texts.config[b] * M : texts.offsets[b] + b * M) + M - 1;
}

// The tokens of the stream whose hidden states predict the labels of `texts`.
std::vector<int64_t> predicting_tokens(const PromptLayout& layout, const Batch& batch, const Ragged& texts) {
  const int64_t* text = layout.text.const_data_ptr<int64_t>();
  const int64_t* label_token = batch.label_token.const_data_ptr<int64_t>();
  std::vector<int64_t> tokens;
  for (size_t n = 0; n < batch.label_sequence.size(); ++n)
    tokens.push_back(label_token[n] >= 0 ? text[label_token[n]] : last_prompt_token(layout, texts, batch.label_sequence[n]));
  return tokens;
}

std::vector<int64_t> list_of(const PooledTokens& pooled) {
  const int64_t* tokens = pooled.token.const_data_ptr<int64_t>();
  return {tokens, tokens + pooled.token.numel()};
}

// The hidden states that a batch's loss reads: at the tokens that predict its labels or, with a head, those that it pools.
struct ReadTokens {
  std::vector<int64_t> predicting;
  std::optional<PooledTokens> pooled;

  std::vector<int64_t> all() const { return pooled ? list_of(*pooled) : predicting; }
};

// The texts of the backbone's last stream.
const Ragged& last_texts(const ModelParts& parts, const Batch& batch) {
  return parts.rules.encoder_decoder() ? batch.target : batch.source;
}

ReadTokens read_tokens(const ModelParts& parts, const Batch& batch, const AdaptedBatch& inputs) {
  const PromptLayout& layout = inputs.target ? inputs.target->layout : inputs.source.layout;
  if (parts.has_head()) return {{}, pooled_tokens(parts.pooling, batch.source, layout)};
  return {predicting_tokens(layout, batch, last_texts(parts, batch)), {}};
}

// At least as many as fewest_rows, of zeros.
at::Tensor with_rows(const at::Tensor& x) {
  const int64_t more = x.is_cpu() ? fewest_rows - x.size(0) : 0;
  return more <= 0 ? x : at::cat({x, at::zeros({more, x.size(1)}, x.options())});
}

/// The loss that hidden states give, and their gradient where it is asked for.
struct HiddenLoss {
  BatchLoss loss;
  at::Tensor d_hidden;
};

// What each label token counts in the loss where examples have scores, fp64 [n]: its part of its example's mean.
at::Tensor label_shares_of(const Batch& batch) {
  std::vector<double> length(static_cast<size_t>(batch.score.size(0))), shares;
  for (const int64_t sequence : batch.label_sequence) ++length[static_cast<size_t>(sequence)];
  for (const int64_t sequence : batch.label_sequence) shares.push_back(1 / length[static_cast<size_t>(sequence)]);
  return at::tensor(shares, at::kDouble);
}

// By the language-model head, at the label tokens.
HiddenLoss loss_of_tokens(const ModelParts& parts, const Batch& batch, const std::vector<int64_t>& predicting,
                          const at::Tensor& hidden, bool with_gradient) {
  const TextModel& model = as_text_model(*parts.backbone);
  const at::Tensor at_labels = upload(predicting, hidden.device());
  at::Tensor d_logits;
  const at::Tensor all_logits = model.logits(with_rows(hidden.index_select(0, at_labels)));
  const at::Tensor logits = all_logits.narrow(0, 0, at_labels.size(0));
  at::Tensor nll = kernels::cross_entropy(logits, batch.labels, with_gradient ? &d_logits : nullptr, parts.label_smoothing,
                                          model.context().kernels);
  std::vector<int64_t> config;
  for (int64_t sequence : batch.label_sequence) config.push_back(last_texts(parts, batch).config[sequence]);
  at::Tensor counts = at::ones({static_cast<int64_t>(config.size())}, at::kDouble);
  if (batch.score.defined()) {
    counts = label_shares_of(batch);
    const at::Tensor score = batch.score.index_select(0, at::tensor(batch.label_sequence));
    const at::Tensor factor = upload((counts * score).to(nll.scalar_type()), nll.device());
    nll = nll * factor;
    if (with_gradient) d_logits.mul_(factor.to(d_logits.scalar_type()).unsqueeze(1));
  }
  HiddenLoss found{sum_by_config(nll, counts, config, parts.weights.configs()), {}};
  if (with_gradient) {
    const at::Tensor d_rows = model.logits_backward(with_rows(d_logits), all_logits).narrow(0, 0, at_labels.size(0));
    found.d_hidden = at::zeros(hidden.sizes(), d_rows.options()).index_copy_(0, at_labels, d_rows);
  }
  return found;
}

// What the model's pooler sees of each text, and what the head sees behind it.
struct PooledState {
  at::Tensor hidden, state;
};

PooledState pooled_state(const ModelParts& parts, const PooledTokens& tokens, const at::Tensor& hidden, int64_t texts) {
  const at::Tensor state = pool(tokens, hidden, texts, parts.weights.head.out.scalar_type());
  return {state, parts.pooling == Pooling::mean ? state : parts.backbone->pool(with_rows(state)).narrow(0, 0, texts)};
}

// By the classification head, once a text. `gradients`: of the head's own parameters.
HiddenLoss loss_of_texts(const ModelParts& parts, const Call& call, const Batch& batch, const PooledTokens& tokens,
                         const at::Tensor& hidden, Gradients* gradients) {
  const Kernels kernels = parts.backbone->context().kernels;
  const HeadWeights& head = parts.weights.head;
  const PooledState pooled = pooled_state(parts, tokens, hidden, batch.source.batch());
  HeadSaved saved;
  at::Tensor d_logits;
  const at::Tensor logits = head_forward(call, head, batch.source, parts.backbone->info().head_rules, pooled.state,
                                         gradients ? &saved : nullptr, kernels);
  const at::Tensor losses =
      head_loss(logits, batch.values, gradients ? &d_logits : nullptr, parts.label_smoothing, parts.class_weights, kernels);
  const at::Tensor counts = example_weights(batch.values, parts.class_weights);
  HiddenLoss found{sum_by_config(losses, counts, batch.source.config, parts.weights.configs()), {}};
  if (gradients) {
    HeadGradients d = head_backward(head, batch.source, saved, d_logits);
    *gradients = std::move(d.parameters);
    if (parts.pooling != Pooling::mean)
      d.x = parts.backbone->pool_backward(with_rows(d.x), with_rows(pooled.hidden)).narrow(0, 0, pooled.hidden.size(0));
    found.d_hidden = pool_backward(tokens, d.x, hidden.size(0));
  }
  return found;
}

// The sources without their targets, in K equal runs of which each has its adapter.
Batch source_batch(const AdaptedModel& model, std::span<const Example> sources) {
  std::vector<Example> examples(sources.begin(), sources.end());
  for (Example& example : examples) example.target = {0};  // its input is what stands before it: the source alone
  return collate(model.rules(), examples, Purpose::answering, model.weights().configs());
}

// The streams end to end.
Stream joined(const std::vector<AdaptedText>& texts) {
  if (texts.size() == 1) return texts.front().stream;
  Stream all;
  std::vector<at::Tensor> embeds, positions;
  for (const AdaptedText& text : texts) {
    const Ragged& tokens = text.stream.tokens;
    const int64_t first = all.tokens.batch();
    for (int64_t b = 0; b < tokens.batch(); ++b)
      all.tokens.append(tokens.length(b), tokens.example[b], 0, tokens.prefix[b] < 0 ? -1 : first + tokens.prefix[b]);
    embeds.push_back(text.stream.embeds);
    positions.push_back(tokens.position);
  }
  all.tokens.position = at::cat(positions);
  all.embeds = at::cat(embeds);
  return all;
}

// What the frozen model is called with: its dropout may be off while the adapter's is on.
Call backbone_call(const ModelParts& parts, Call call) {
  call.training = call.training && parts.backbone_dropout;
  return call;
}

// A decoder's prompt sees no text and stands once, unless dropout or the length of the texts makes its copies differ.
AdapterCall adapter_call(const ModelParts& parts, const Call& call) {
  const bool drops = backbone_call(parts, call).training && parts.backbone->info().dropout > 0;
  const bool shares = parts.rules.architecture == Architecture::decoder && !drops && !parts.backbone->info().rotates_by_length;
  return {call, parts.backbone->context().kernels, shares};
}

// A folded adapter changes the tokens of sources, which have a row, and leaves answers behind them.
at::Tensor embed_words(const ModelParts& parts, const Ragged& tokens, const at::Tensor& ids) {
  const at::Tensor E = parts.backbone->embed(ids).to(parts.weights.input->dtype()), &table = parts.word_embeddings;
  if (!table.defined()) return E;
  return at::where(upload(tokens.row.ge(0).unsqueeze(1), E.device()), table.index_select(0, upload(ids, E.device())), E);
}

// Of a batch's visual tokens. The words that VL-Adapter adds are the last ones of the vocabulary.
VisualInputs visual_inputs(const ModelParts& parts, const VisualTokens& visual) {
  const at::Tensor& weight = parts.weights.visual.linear;
  if (!weight.defined()) fail(Code::bug, "AdaptedModel", "a visual embedding for a batch with images", "none");
  VisualInputs in{upload(visual.features.to(weight.scalar_type()), weight.device()), visual.place, {}};
  if (parts.weights.visual.form == VisualForm::clip_t5)
    in.words = parts.backbone->embed(parts.backbone->info().vocab - 1 - visual.place).to(weight.scalar_type());
  return in;
}

// Texts and images: each visual token in its place among the words.
at::Tensor embed_source(const ModelParts& parts, const Ragged& tokens, const at::Tensor& ids, const VisualTokens* visual) {
  const at::Tensor E = embed_words(parts, tokens, ids);
  if (visual == nullptr || !visual->any()) return E;
  const at::Tensor images = visual_forward(parts.weights.visual, visual_inputs(parts, *visual)).to(E.scalar_type());
  return E.index_copy(0, upload(visual->token, E.device()), images);
}

// The gradients of a visual embedding from that of the stream that its tokens went into; zeros in a batch without images.
Gradients visual_gradients(const ModelParts& parts, const Batch& batch, const PromptLayout& layout, const at::Tensor& d_stream) {
  if (!batch.visual.any()) return no_gradients(visual_parameters(parts.weights.visual));
  const at::Tensor places = layout.text.index_select(0, batch.visual.token);
  const at::Tensor d = d_stream.index_select(0, upload(places, d_stream.device()));
  return visual_backward(parts.weights.visual, visual_inputs(parts, batch.visual), d);
}

// A batch as the backbone takes it, and what its loss reads of the hidden states.
struct WholeBatch {
  AdaptedBatch inputs;
  ReadTokens read;
};

WholeBatch whole_batch(const ModelParts& parts, const Call& call, const Batch& batch) {
  const InputAdapter& adapter = *parts.weights.input;
  const Stream source{batch.source, embed_source(parts, batch.source, batch.source_ids, &batch.visual)};
  std::optional<Stream> target;
  if (parts.rules.encoder_decoder()) target = {batch.target, parts.backbone->embed(batch.target_ids).to(adapter.dtype())};
  WholeBatch whole{adapter.apply(adapter_call(parts, call), source, target ? &*target : nullptr), {}};
  whole.read = read_tokens(parts, batch, whole.inputs);
  if (!target) whole.inputs.source.stream.want(whole.read.all());
  return whole;
}

// Sources that have run, each in a slot of a cache, with labels to run behind them one after the other.
class LabelScorer {
 public:
  LabelScorer(const AdaptedModel& model, std::span<const Example> sources, int64_t label_tokens)
      : model_(model.text_model()),
        rules_(model.rules()),
        batch_(source_batch(model, sources)),
        count_(static_cast<int64_t>(sources.size())),
        slots_(count_),
        held_(count_),
        position_(count_) {
    auto [source, layout] = std::move(model.adapt_source({}, batch_).source);
    const InputAdapter& adapter = model.adapter();
    const int64_t decoder_prompt = adapter.decoder_prompt_tokens();
    const int64_t prompts = rules_.encoder_decoder() ? 0 : source.tokens.batch() - count_;
    cache_ = model_.start(source, prompts + count_, decoder_prompt + label_tokens);
    std::iota(slots_.begin(), slots_.end(), prompts);
    if (!rules_.encoder_decoder()) {
      run_sources(source, layout);
    } else if (decoder_prompt > 0) {
      const at::Tensor none = at::zeros({0, adapter.shape().width}, adapter.parameters().front().value.options());
      model_.extend(*cache_, adapter.apply_to_target({no_tokens(batch_.target), none}).stream, slots_);
      std::fill(held_.begin(), held_.end(), decoder_prompt);
      position_ = held_;
    }
  }

  /// The sum of -log p over a label's tokens behind each source, fp64 [sources].
  at::Tensor nll(const Ids& label) {
    const Kernels kernels = model_.context().kernels;
    const LabelRun run = label_run(rules_, label);
    at::Tensor nll = at::zeros({count_}, at::kDouble);
    if (first_logits_.defined())
      nll += kernels::cross_entropy(first_logits_, at::full({count_}, *run.first, at::kLong), nullptr, 0, kernels)
                 .to(at::kCPU, at::kDouble);
    if (run.inputs.empty()) return nll;
    const at::Tensor hidden = model_.extend(*cache_, repeated(model_, run.inputs, position_, batch_.source.example), slots_);
    const at::Tensor outputs = at::tensor(run.outputs, at::kLong).repeat({count_});
    nll += kernels::cross_entropy(model_.logits(hidden), outputs, nullptr, 0, kernels)
               .to(at::kCPU, at::kDouble)
               .view({count_, -1})
               .sum(1);
    for (int64_t b = 0; b < count_; ++b) model_.rewind(*cache_, slots_[b], held_[b]);
    return nll;
  }

 private:
  // Decoder-only: the sources behind their prompts.
  void run_sources(Stream& source, const PromptLayout& layout) {
    std::vector<int64_t> all(source.tokens.batch());
    std::iota(all.begin(), all.end(), 0);
    const std::vector<int64_t> last = predicting_tokens(layout, batch_, batch_.source);  // of an empty source its prompt's
    source.want(last);
    const at::Tensor hidden = model_.extend(*cache_, source, all);
    first_logits_ = model_.logits(hidden.index_select(0, upload(last, hidden.device())));
    for (int64_t b = 0; b < count_; ++b) {
      held_[b] = model_.length(*cache_, slots_[b]);
      position_[b] = layout.prompt + batch_.source.length(b);
    }
  }

  const TextModel& model_;
  const EncodeRules& rules_;
  Batch batch_;
  int64_t count_;
  std::vector<int64_t> slots_, held_, position_;  // [sources] where each is, its tokens there, where it goes on
  std::unique_ptr<KvCache> cache_;
  at::Tensor first_logits_;  // decoder-only: of the token behind each source
};

void check_parts(const ModelParts& parts) {
  const auto require = [](bool agrees, const char* expected, const char* received) {
    if (!agrees) fail(Code::bug, "AdaptedModel", expected, received);
  };
  require(parts.backbone != nullptr, "a model", "none");
  require(parts.weights.input != nullptr, "an adapter", "none");
  const ModelInfo& info = parts.backbone->info();
  require(parts.weights.input->shape().width == info.input_width(), "an adapter of the model's width", "another");
  require(parts.rules.architecture == info.architecture, "rules for the model's architecture", "those for another");
  require(parts.rules.head == parts.has_head(), "rules for a head where there is one", "others");
}

// On the model's device.
void place_weights(ModelParts& parts) {
  parts.weights = placed(parts.weights, parts.backbone->context().device);
}

}  // namespace

ModelParts fold(ModelParts parts) {
  place_weights(parts);
  std::shared_ptr<const InputAdapter>& adapter = parts.weights.input;
  if (adapter->max_text() > 0) return parts;  // rows of A·B are as cheap as they are
  const auto all_words = [&] {
    return parts.backbone->embed(at::arange(parts.backbone->info().vocab, at::kLong)).to(adapter->dtype());
  };
  const FoldedAdapter folded = adapter->fold(all_words);
  if (folded.table.defined()) parts.word_embeddings = folded.table[0];
  adapter = prompt_alone(folded, adapter->shape().submodules);
  parts.folded = true;
  return parts;
}

AdaptedModel::AdaptedModel(ModelParts parts) : parts_(std::make_unique<ModelParts>(std::move(parts))) {
  check_parts(*parts_);
  place_weights(*parts_);
  const ModelContext& context = parts_->backbone->context();
  if (context.graphs && parts_->recorded == nullptr)
    parts_->recorded = std::make_shared<GraphedBackbone>(parts_->backbone, kernels::cuda_graphs(context.device));
}
AdaptedModel::AdaptedModel(AdaptedModel&&) noexcept = default;
AdaptedModel& AdaptedModel::operator=(AdaptedModel&&) noexcept = default;
AdaptedModel::~AdaptedModel() = default;

const Backbone& AdaptedModel::backbone() const {
  return *parts_->backbone;
}

const TextModel& AdaptedModel::text_model() const {
  return as_text_model(backbone());
}

const Tokenizer& AdaptedModel::tokenizer() const {
  if (parts_->tokenizer == nullptr) fail(Code::bad_input, "model", "one with a tokenizer.json", "none");
  return *parts_->tokenizer;
}

const EncodeRules& AdaptedModel::rules() const {
  return parts_->rules;
}

const AdapterWeights& AdaptedModel::weights() const {
  return parts_->weights;
}

const InputAdapter& AdaptedModel::adapter() const {
  return *parts_->weights.input;
}

bool AdaptedModel::has_head() const {
  return parts_->has_head();
}

AdaptedBatch AdaptedModel::adapt_source(const Call& call, const Ragged& tokens, const at::Tensor& ids,
                                        const VisualTokens* visual) const {
  return adapter().apply(adapter_call(*parts_, call), {tokens, embed_source(*parts_, tokens, ids, visual)}, nullptr);
}

AdaptedBatch AdaptedModel::adapt_source(const Call& call, const Batch& batch) const {
  return adapt_source(call, batch.source, batch.source_ids, &batch.visual);
}

AdaptedBatch AdaptedModel::adapt(const Call& call, const Batch& batch) const {
  return whole_batch(*parts_, call, batch).inputs;
}

BatchLoss AdaptedModel::loss(const Call& call, const Batch& batch, Gradients* gradients) const {
  const WholeBatch whole = whole_batch(*parts_, call, batch);
  const AdaptedBatch& inputs = whole.inputs;
  std::unique_ptr<Saved> saved;
  const at::Tensor hidden =
      parts_->trained().forward(backbone_call(*parts_, call), inputs.source.stream,
                                inputs.target ? &inputs.target->stream : nullptr, gradients ? &saved : nullptr);
  Gradients of_head;
  const HiddenLoss found = has_head()
                               ? loss_of_texts(*parts_, call, batch, *whole.read.pooled, hidden, gradients ? &of_head : nullptr)
                               : loss_of_tokens(*parts_, batch, whole.read.predicting, hidden, gradients != nullptr);
  if (gradients) {
    InputGradients d = parts_->trained().backward(std::move(saved), found.d_hidden);
    d.source = d.source.to(adapter().dtype());
    if (d.target.defined()) d.target = d.target.to(adapter().dtype());
    *gradients = adapter().backward(inputs, d);
    gradients->insert(gradients->end(), of_head.begin(), of_head.end());
    for (at::Tensor& of_visual : visual_gradients(*parts_, batch, inputs.source.layout, d.source))
      gradients->push_back(std::move(of_visual));
  }
  return found.loss;
}

at::Tensor AdaptedModel::token_nll(const Batch& batch) const {
  constexpr int64_t stretch = 256;  // tokens whose logits stand in memory at once
  if (batch.labels.numel() == 0) return at::zeros({0}, at::kDouble);
  const auto [inputs, read] = whole_batch(*parts_, {}, batch);
  const at::Tensor hidden =
      backbone().forward({}, inputs.source.stream, inputs.target ? &inputs.target->stream : nullptr, nullptr);
  const at::Tensor tokens = upload(read.predicting, hidden.device());
  std::vector<at::Tensor> nll;
  for (int64_t first = 0; first < tokens.size(0); first += stretch) {
    const int64_t count = std::min(stretch, tokens.size(0) - first);
    const at::Tensor logits = text_model().logits(hidden.index_select(0, tokens.narrow(0, first, count)));
    nll.push_back(kernels::cross_entropy(logits, batch.labels.narrow(0, first, count), nullptr, 0, backbone().context().kernels)
                      .to(at::kCPU, at::kDouble));
  }
  return at::cat(nll);
}

at::Tensor AdaptedModel::head_logits(const Batch& batch) const {
  const HeadBatch one{this, batch};
  return dept::head_logits(std::span(&one, 1)).front();
}

std::vector<at::Tensor> head_logits(std::span<const HeadBatch> batches) {
  const Call call;
  std::vector<AdaptedText> sources;
  std::vector<PooledTokens> pooled;
  std::vector<int64_t> read;
  int64_t first = 0;
  for (const auto& [model, batch] : batches) {
    const AdaptedText& source = sources.emplace_back(std::move(model->adapt_source(call, batch).source));
    pooled.push_back(pooled_tokens(model->parts().pooling, batch.source, source.layout));
    for (const int64_t token : list_of(pooled.back())) read.push_back(first + token);
    first += source.stream.tokens.tokens();
  }
  Stream all = joined(sources);
  all.want(read);
  const at::Tensor hidden = batches.front().model->backbone().forward(call, all, nullptr, nullptr);
  std::vector<at::Tensor> logits;
  first = 0;
  for (size_t i = 0; i < batches.size(); ++i) {
    const auto& [model, batch] = batches[i];
    const int64_t tokens = sources[i].stream.tokens.tokens();
    const at::Tensor of_texts = hidden.narrow(0, first, tokens);
    const at::Tensor state = pooled_state(model->parts(), pooled[i], of_texts, batch.source.batch()).state;
    logits.push_back(head_forward(call, model->weights().head, batch.source, model->backbone().info().head_rules, state, nullptr)
                         .to(at::kCPU, at::kDouble));
    first += tokens;
  }
  return logits;
}

std::vector<LabelNll> AdaptedModel::label_nll(std::span<const Example> sources, std::span<const Ids> labels) const {
  int64_t longest = 1;
  for (const Ids& label : labels) longest = std::max<int64_t>(longest, static_cast<int64_t>(label.size()));
  LabelScorer scorer(*this, sources, longest * static_cast<int64_t>(labels.size()));
  std::vector<LabelNll> results(sources.size());
  for (const Ids& label : labels) {
    const at::Tensor nll = scorer.nll(label);
    for (size_t b = 0; b < sources.size(); ++b) {
      results[b].nll.push_back(nll[static_cast<int64_t>(b)].item<double>());
      results[b].tokens.push_back(static_cast<int64_t>(label.size()));
    }
  }
  return results;
}

std::vector<std::string> AdaptedModel::answers(std::span<const Example> sources, const GenerationOptions& options) const {
  std::vector<std::string> texts;
  const at::Tensor decoder_prompt = adapter().decoder_prompt().to(backbone().context().residual());
  const Batch batch = source_batch(*this, sources);
  const Stream source = adapt_source({}, batch).source.stream;
  for (const auto& answers : dept::generate(text_model(), {source, {}, decoder_prompt}, options))
    texts.push_back(tokenizer().decode_written(answers.front().ids));
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
