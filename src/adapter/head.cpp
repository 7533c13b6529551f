#include "dept/adapter/head.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <array>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/kernels/cross_entropy.h"
#include "dept/kernels/dropout.h"
#include "dept/kernels/row_sums.h"
#include "dept/models/model_files.h"
#include "dept/tensor/upload.h"

namespace dept {
namespace {

using at::Tensor;

constexpr std::array pooling_names = {"first", "cls", "mean", "last"};

// Products of a head are small. On the CPU they are taken in fp64: how many rows there are, as on one of several ranks, decides
// no bit of an fp32 row then, and the order of the summands none of a gradient.
at::ScalarType wide_type(const Tensor& x) {
  return x.is_cpu() ? at::kDouble : x.scalar_type();
}

// The rows of x that each configuration evaluates, int64 on `device`.
Tensor rows_of(const Ragged& text, int64_t k, at::Device device) {
  std::vector<int64_t> rows;
  for (int64_t b = 0; b < text.batch(); ++b)
    if (text.config[b] == k) rows.push_back(b);
  return upload(rows, device);
}

// y = W x + b, each row with its configuration's W [K, out, in] and b [K, out] (undefined: none).
Tensor linear(const Ragged& text, const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const at::ScalarType wide = wide_type(x);
  Tensor y = at::empty({x.size(0), weight.size(1)}, x.options());
  for (int64_t k = 0; k < weight.size(0); ++k) {
    const Tensor rows = rows_of(text, k, x.device()), mine = x.index_select(0, rows).to(wide), w = weight[k].t().to(wide);
    y.index_copy_(0, rows, (bias.defined() ? at::addmm(bias[k].to(wide), mine, w) : at::mm(mine, w)).to(x.scalar_type()));
  }
  return y;
}

// Of linear: dW = dy^T x and db = the sum of dy, both in fp64 on the CPU, dx = dy W.
Tensor linear_backward(const Ragged& text, const Tensor& dy, const Tensor& x, const Tensor& weight, Tensor& d_weight,
                       Tensor* d_bias) {
  const at::ScalarType wide = wide_type(x);
  Tensor dx = at::empty(x.sizes(), x.options());
  d_weight = at::zeros(weight.sizes(), weight.options().dtype(wide));
  if (d_bias != nullptr) *d_bias = at::zeros({weight.size(0), weight.size(1)}, d_weight.options());
  for (int64_t k = 0; k < weight.size(0); ++k) {
    const Tensor rows = rows_of(text, k, x.device()), mine = dy.index_select(0, rows).to(wide);
    d_weight[k].copy_(at::mm(mine.t(), x.index_select(0, rows).to(wide)));
    if (d_bias != nullptr) (*d_bias)[k].copy_(mine.sum(0));
    dx.index_copy_(0, rows, at::mm(mine, weight[k].to(wide)).to(x.scalar_type()));
  }
  return dx;
}

// Over one row a sequence.
kernels::Dropout row_dropout(const Call& call, const Ragged& text, double p, Site site) {
  Ragged rows;
  for (int64_t b = 0; b < text.batch(); ++b) rows.append(1, text.example[b], text.config[b]);
  return kernels::Dropout(call, rows, p, 0, site);
}

}  // namespace

Pooling parse_pooling(std::string_view name) {
  for (size_t i = 0; i < pooling_names.size(); ++i)
    if (name == pooling_names[i]) return static_cast<Pooling>(i);
  fail(Code::usage, "pooling", "first, cls, mean or last", quote(name));
}

std::string to_string(Pooling pooling) {
  return pooling_names[static_cast<size_t>(pooling)];
}

Pooling default_pooling(Architecture architecture) {
  return architecture == Architecture::encoder ? Pooling::first : Pooling::last;
}

void check_pooling(Pooling pooling, Architecture architecture) {
  const bool encoder = architecture == Architecture::encoder;
  if (encoder == (pooling == Pooling::last))
    fail(Code::usage, "pooling", encoder ? "first, cls or mean for an encoder" : "last for a decoder-only model",
         to_string(pooling));
}

std::vector<HeadTensor> head_tensors(HeadForm form, int64_t labels, int64_t hidden) {
  std::vector<HeadTensor> tensors;
  const auto add = [&](const char* name, at::Tensor HeadWeights::*tensor, std::vector<int64_t> shape) {
    tensors.push_back({name, tensor, std::move(shape)});
  };
  switch (form) {
    case HeadForm::none:
      break;
    case HeadForm::score:
      add("base_model.score.weight", &HeadWeights::out, {labels, hidden});
      break;
    case HeadForm::classifier:
      add("base_model.classifier.weight", &HeadWeights::out, {labels, hidden});
      add("base_model.classifier.bias", &HeadWeights::out_bias, {labels});
      break;
    case HeadForm::dense:
      add("base_model.classifier.dense.weight", &HeadWeights::dense, {hidden, hidden});
      add("base_model.classifier.dense.bias", &HeadWeights::dense_bias, {hidden});
      add("base_model.classifier.out_proj.weight", &HeadWeights::out, {labels, hidden});
      add("base_model.classifier.out_proj.bias", &HeadWeights::out_bias, {labels});
      break;
    case HeadForm::pre_classifier:
      add("base_model.pre_classifier.weight", &HeadWeights::dense, {hidden, hidden});
      add("base_model.pre_classifier.bias", &HeadWeights::dense_bias, {hidden});
      add("base_model.classifier.weight", &HeadWeights::out, {labels, hidden});
      add("base_model.classifier.bias", &HeadWeights::out_bias, {labels});
      break;
    case HeadForm::pooler:
      add("base_model.pooler.dense.weight", &HeadWeights::dense, {hidden, hidden});
      add("base_model.pooler.dense.bias", &HeadWeights::dense_bias, {hidden});
      add("base_model.classifier.weight", &HeadWeights::out, {labels, hidden});
      add("base_model.classifier.bias", &HeadWeights::out_bias, {labels});
      break;
  }
  return tensors;
}

// A form with two linears comes before the one that is its second alone.
HeadForm head_form_of(const std::function<bool(const char* name)>& holds) {
  for (const HeadForm form : {HeadForm::score, HeadForm::dense, HeadForm::pre_classifier, HeadForm::pooler, HeadForm::classifier})
    if (holds(head_tensors(form, 0, 0).front().name)) return form;
  return HeadForm::none;
}

std::string head_output_name(HeadForm form) {
  for (const HeadTensor& tensor : head_tensors(form, 0, 0))
    if (tensor.tensor == &HeadWeights::out) return tensor.name;
  fail(Code::bug, "head", "a form with an output", "none");
}

std::vector<Parameter> head_parameters(const HeadWeights& weights) {
  std::vector<Parameter> parameters;
  for (const HeadTensor& tensor : head_tensors(weights.form, 0, 0))
    parameters.push_back({tensor.name, Group::head, weights.*tensor.tensor});
  return parameters;
}

HeadWeights init_head(HeadForm form, int64_t labels, int64_t hidden, double deviation, at::Generator generator) {
  HeadWeights head;
  head.form = form;
  for (const auto& [name, tensor, shape] : head_tensors(form, labels, hidden)) {
    head.*tensor = at::zeros(shape, at::kFloat);
    if (shape.size() == 2) (head.*tensor).normal_(0, deviation, generator);
    head.*tensor = (head.*tensor).unsqueeze(0);
  }
  return head;
}

std::optional<HeadWeights> checkpoint_head(const fs::path& model, HeadForm form, int64_t labels, int64_t hidden) {
  const std::shared_ptr<const TensorSource> file = open_model(model, true).weights;
  HeadWeights head;
  head.form = form;
  for (const auto& [adapter_name, tensor, shape] : head_tensors(form, labels, hidden)) {
    const std::string name = std::string(adapter_name).substr(std::string_view("base_model.").size());
    const TensorInfo* stored = file->find(name);
    if (stored == nullptr || stored->shape != shape) return std::nullopt;
    head.*tensor = file->read(name, shape, at::kFloat).unsqueeze(0);
  }
  return head;
}

PooledTokens pooled_tokens(Pooling pooling, const Ragged& text, const PromptLayout& layout) {
  std::vector<int64_t> token;  // of the text
  std::vector<int64_t> sequence;
  std::vector<double> share;
  for (int64_t b = 0; b < text.batch(); ++b) {
    const int64_t first = pooling == Pooling::last ? text.offsets[b + 1] - 1 : text.offsets[b];
    const int64_t count = pooling == Pooling::mean ? text.length(b) : 1;
    for (int64_t i = 0; i < count; ++i) {
      token.push_back(first + i);
      sequence.push_back(b);
      share.push_back(1 / static_cast<double>(count));
    }
  }
  PooledTokens pooled{layout.text.index_select(0, at::tensor(token)), std::move(sequence), at::tensor(share, at::kDouble)};
  if (pooling == Pooling::first) pooled.token -= layout.prompt;
  return pooled;
}

Tensor pool(const PooledTokens& pooled, const Tensor& hidden, int64_t batch, at::ScalarType dtype) {
  const Tensor rows = hidden.index_select(0, upload(pooled.token, hidden.device())).to(dtype);
  return kernels::row_sums(rows * upload(pooled.share.to(dtype), hidden.device()).unsqueeze(1), pooled.sequence, batch);
}

Tensor pool_backward(const PooledTokens& pooled, const Tensor& d, int64_t tokens) {
  const Tensor share = upload(pooled.share.to(d.scalar_type()), d.device()).unsqueeze(1);
  const Tensor rows = d.index_select(0, upload(pooled.sequence, d.device())) * share;
  return at::zeros({tokens, d.size(1)}, d.options()).index_copy_(0, upload(pooled.token, d.device()), rows);
}

Tensor head_forward(const Call& call, const HeadWeights& weights, const Ragged& text, const HeadRules& rules, const Tensor& x,
                    HeadSaved* saved, Kernels kernels) {
  if (x.dim() != 2 || x.size(0) != text.batch() || x.size(1) != weights.out.size(2) ||
      x.scalar_type() != weights.out.scalar_type())
    fail(Code::bug, "head", dept::str(weights.out.scalar_type(), " [", text.batch(), ", ", weights.out.size(2), "]"),
         dept::str(x.scalar_type(), " ", x.sizes()));
  HeadSaved kept;
  kept.kernels = kernels;
  const bool two = weights.dense.defined();
  kept.unit = rules.unit;
  kept.input_dropout = row_dropout(call, text, two ? rules.input_dropout : rules.dropout, Site::head_input);
  kept.x = kept.dropped = kernels::apply_dropout(x.contiguous(), kept.input_dropout, kernels);
  if (two) {
    kept.inner = linear(text, kept.x, weights.dense, weights.dense_bias);
    kept.units = rules.unit ? kernels::activation(*rules.unit, kept.inner, {}, kernels) : at::tanh(kept.inner);
    kept.unit_dropout = row_dropout(call, text, rules.dropout, Site::head_units);
    kept.dropped = kernels::apply_dropout(kept.units, kept.unit_dropout, kernels);
  }
  const Tensor logits = linear(text, kept.dropped, weights.out, weights.out_bias);
  if (saved != nullptr) *saved = std::move(kept);
  return logits;
}

HeadGradients head_backward(const HeadWeights& weights, const Ragged& text, const HeadSaved& saved, const Tensor& d_logits) {
  HeadWeights d;
  d.form = weights.form;
  Tensor dx =
      linear_backward(text, d_logits, saved.dropped, weights.out, d.out, weights.out_bias.defined() ? &d.out_bias : nullptr);
  if (weights.dense.defined()) {
    dx = kernels::apply_dropout(dx, saved.unit_dropout, saved.kernels);
    dx = saved.unit ? kernels::activation_backward(*saved.unit, dx, saved.inner, {}, saved.kernels)
                    : dx * (1 - saved.units * saved.units);
    dx = linear_backward(text, dx, saved.x, weights.dense, d.dense, &d.dense_bias);
  }
  HeadGradients gradients{{}, kernels::apply_dropout(dx, saved.input_dropout, saved.kernels)};
  for (Parameter& parameter : head_parameters(d)) gradients.parameters.push_back(std::move(parameter.value));
  return gradients;
}

namespace {

// The loss is -sum_c q_c log p_c, where q is the label's weight and the share that smoothing gives to every class by its own.
// Labels and weights are on the CPU.
Tensor weighted_loss(const Tensor& logits, const Tensor& labels, Tensor* d_logits, double smoothing,
                     const Tensor& class_weights) {
  const int64_t classes = logits.size(1);
  for (const int64_t label : at::ArrayRef(labels.const_data_ptr<int64_t>(), static_cast<size_t>(labels.numel())))
    if (label < 0 || label >= classes)
      fail(Code::bad_input, "head", dept::str("a label from 0 to ", classes - 1), dept::str(label));
  const Tensor weights = upload(class_weights.to(logits.scalar_type()), logits.device());
  const Tensor label = upload(labels, logits.device());
  const Tensor log_p = at::log_softmax(logits, 1);
  Tensor q = (weights * (smoothing / static_cast<double>(classes))).repeat({logits.size(0), 1});
  q.scatter_add_(1, label.unsqueeze(1), (weights * (1 - smoothing)).index_select(0, label).unsqueeze(1));
  if (d_logits != nullptr) *d_logits = log_p.exp() * q.sum(1, true) - q;
  return -(q * log_p).sum(1);
}

}  // namespace

Tensor head_loss(const Tensor& logits, const Tensor& values, Tensor* d_logits, double smoothing, const Tensor& class_weights,
                 Kernels kernels) {
  if (class_weights.defined()) return weighted_loss(logits, values.to(at::kLong), d_logits, smoothing, class_weights);
  if (logits.size(1) > 1) return kernels::cross_entropy(logits, values.to(at::kLong), d_logits, smoothing, kernels);
  const Tensor distance = logits.squeeze(1) - upload(values.to(logits.scalar_type()), logits.device());
  if (d_logits != nullptr) *d_logits = 2 * distance.unsqueeze(1);
  return distance * distance;
}

Tensor example_weights(const Tensor& values, const Tensor& class_weights) {
  return class_weights.defined() ? class_weights.index_select(0, values.to(at::kLong)) : at::ones_like(values);
}

}  // namespace dept
