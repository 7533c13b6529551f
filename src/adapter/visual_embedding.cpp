#include "dept/adapter/visual_embedding.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/zeros_like.h>

#include "dept/adapter/method.h"
#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/kernels/row_sums.h"
#include "dept/tensor/upload.h"

namespace dept {
namespace {

using at::Tensor;

constexpr double norm_epsilon = 1e-6;  // of T5's layer norm
constexpr double linear_scale = 0.5;
constexpr int64_t box_numbers = 5;

// As a head's: sums over tokens are taken in fp64 on the CPU, so that their order decides no bit of an fp32 result.
Tensor widened(const Tensor& x) {
  return x.is_cpu() ? x.to(at::kDouble) : x;
}

// RMSNorm(x) = g * n, n = x / sqrt(mean of x^2 + epsilon), by rows.
struct NormedRows {
  Tensor rstd, normalised;  // [n, 1], [n, D]

  explicit NormedRows(const Tensor& x) : rstd(at::rsqrt((x * x).mean(1, true) + norm_epsilon)), normalised(x * rstd) {}

  // d loss / d x from dn = d loss / d n: (dn - n mean(dn n)) / sqrt(..)
  Tensor backward(const Tensor& dn) const { return (dn - normalised * (dn * normalised).mean(1, true)) * rstd; }
};

// W f + b, [n, D].
Tensor projected(const VisualWeights& w, const VisualInputs& in) {
  return at::addmm(widened(w.bias[0]), widened(in.features), widened(w.linear[0]).t());
}

void check_visual_inputs(const VisualWeights& w, const VisualInputs& in) {
  const int64_t n = in.place.size(0);
  const auto fits = [&](const Tensor& x, int64_t width) {
    return x.sizes() == at::IntArrayRef({n, width}) && x.scalar_type() == w.linear.scalar_type();
  };
  if (!fits(in.features, w.channels()))
    fail(Code::bug, "visual embedding", dept::str(w.linear.scalar_type(), " features [", n, ", ", w.channels(), "]"),
         dept::str(in.features.scalar_type(), " ", in.features.sizes()));
  if (w.form == VisualForm::clip_t5 && !(in.words.defined() && fits(in.words, w.linear.size(1))))
    fail(Code::bug, "visual embedding", str("word embeddings [", n, ", ", w.linear.size(1), "]"), "others");
}

Gradients clip_t5_backward(const VisualWeights& w, const VisualInputs& in, const Tensor& d) {
  const NormedRows y(projected(w, in)), box(widened(w.box_bias));
  const Tensor all = d.sum(0, true), dy = y.backward(d * widened(w.norm));
  return {at::mm(dy.t(), widened(in.features)).unsqueeze(0),
          dy.sum(0, true),
          (d * y.normalised).sum(0, true),
          at::zeros_like(w.box, w.box.options().dtype(d.scalar_type())),  // a product with 0
          box.backward(all * widened(w.box_norm)),
          all * box.normalised,
          all.unsqueeze(0)};
}

Gradients linear_form_backward(const VisualWeights& w, const VisualInputs& in, const Tensor& d) {
  const Tensor dy = d * linear_scale;
  const int64_t* place = in.place.const_data_ptr<int64_t>();
  const Tensor d_position = kernels::wide_row_sums(dy, {place, place + in.place.numel()}, w.position.size(1));
  return {at::mm(dy.t(), widened(in.features)).unsqueeze(0), dy.sum(0, true), d_position.unsqueeze(0)};
}

}  // namespace

VisualForm parse_visual_form(std::string_view name) {
  for (const VisualForm form : {VisualForm::clip_t5, VisualForm::linear})
    if (name == to_string(form)) return form;
  fail(Code::usage, "visual_embedding", "clip_t5 or linear", quote(name));
}

std::string to_string(VisualForm form) {
  return form == VisualForm::none ? "none" : form == VisualForm::clip_t5 ? "clip_t5" : "linear";
}

std::vector<VisualTensor> visual_tensors(VisualForm form, const VisualShape& shape) {
  using W = VisualWeights;
  const auto [T, C, D] = shape;
  if (form == VisualForm::none) return {};
  if (form == VisualForm::linear)
    return {{"visual_embedding.linear.weight", &W::linear, {D, C}},
            {"visual_embedding.linear.bias", &W::bias, {D}},
            {"visual_embedding.position.weight", &W::position, {T, D}}};
  return {{"visual_embedding.feat_embedding.0.weight", &W::linear, {D, C}},
          {"visual_embedding.feat_embedding.0.bias", &W::bias, {D}},
          {"visual_embedding.feat_embedding.1.weight", &W::norm, {D}},
          {"visual_embedding.absolute_vis_pos_embedding.0.weight", &W::box, {D, box_numbers}},
          {"visual_embedding.absolute_vis_pos_embedding.0.bias", &W::box_bias, {D}},
          {"visual_embedding.absolute_vis_pos_embedding.1.weight", &W::box_norm, {D}},
          {"visual_embedding.img_order_embedding.weight", &W::order, {1, D}}};
}

std::vector<Parameter> visual_parameters(const VisualWeights& weights) {
  std::vector<Parameter> parameters;
  for (const VisualTensor& tensor : visual_tensors(weights.form, {}))
    parameters.push_back({tensor.name, Group::visual, weights.*tensor.tensor});
  return parameters;
}

VisualWeights init_visual(VisualForm form, const VisualShape& shape, at::Generator generator) {
  VisualWeights w;
  w.form = form;
  for (const auto& [name, tensor, sizes] : visual_tensors(form, shape)) {
    Tensor& value = w.*tensor;
    const bool of_layer = tensor == &VisualWeights::linear || tensor == &VisualWeights::bias;
    const bool of_box = tensor == &VisualWeights::box || tensor == &VisualWeights::box_bias;
    if (of_layer || of_box)
      value = kaiming_uniform(sizes, of_box ? box_numbers : shape.channels, generator);
    else if (tensor == &VisualWeights::order || tensor == &VisualWeights::position)
      value = at::empty(sizes, at::kFloat).normal_(0, form == VisualForm::linear ? 0.02 : 1, generator);
    else
      value = at::ones(sizes, at::kFloat);
    value = value.unsqueeze(0);
  }
  return w;
}

Tensor visual_forward(const VisualWeights& w, const VisualInputs& in) {
  check_visual_inputs(w, in);
  const at::ScalarType dtype = w.linear.scalar_type();
  const Tensor y = projected(w, in);
  if (w.form == VisualForm::linear) {
    const Tensor position = w.position[0].index_select(0, upload(in.place, y.device()));
    return ((y + widened(position)) * linear_scale).to(dtype);
  }
  const Tensor of_all = NormedRows(widened(w.box_bias)).normalised * widened(w.box_norm) + widened(w.order[0]);
  return (NormedRows(y).normalised * widened(w.norm) + of_all + widened(in.words)).to(dtype);
}

Gradients visual_backward(const VisualWeights& w, const VisualInputs& in, const Tensor& d) {
  check_visual_inputs(w, in);
  return w.form == VisualForm::linear ? linear_form_backward(w, in, widened(d)) : clip_t5_backward(w, in, widened(d));
}

}  // namespace dept
