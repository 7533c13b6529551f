#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "dept/nn/modules.h"

namespace dept::nn {
namespace {

using kernels::Dropout;
using kernels::FrozenLinear;
using kernels::NormPlace;

// Whether rows of a norm are taken on the way back: it was kept so, beside branches of this type.
bool takes_rows(const kernels::NormSaved& saved, at::ScalarType branch, const at::Tensor& d) {
  constexpr int64_t widths = 16;
  return d.is_cpu() && d.scalar_type() == at::kFloat && d.size(1) % widths == 0 &&
         (saved.coded() || saved.normalised.scalar_type() == branch) && kernels::takes_norm_rows(branch);
}

template <class Norm>
at::Tensor through_norm(const Norm& norm, const kernels::NormSaved& saved, const at::Tensor& d) {
  at::Tensor dx = at::zeros_like(d);
  norm.backward(d, saved, dx);
  return dx;
}

at::Tensor through_dropout(const at::Tensor& d, const Dropout* dropout, at::ScalarType dtype, Kernels kernels) {
  return dropout != nullptr ? kernels::add_dropout_backward(d, *dropout, dtype, kernels) : at::Tensor();
}

}  // namespace

at::Tensor scatter_rows(const at::Tensor& rows, const at::Tensor& places, int64_t count) {
  if (!places.defined()) return rows;
  return at::zeros({count, rows.size(1)}, rows.options()).index_copy_(0, places, rows);
}

at::Tensor gather_rows(const at::Tensor& rows, const at::Tensor& places) {
  return places.defined() ? rows.index_select(0, places) : rows;
}

template <class Norm>
ResidualStream add_and_norm(const FrozenLinear& out, ResidualStream stream, at::Tensor units, const Dropout& dropout,
                            const Norm& norm, NormPlace place, typename Norm::Saved* saved) {
  if (out.fuses()) {
    const kernels::NormForward rows(norm.weights(), place, units.size(0), saved != nullptr);
    at::Tensor h = out.add_forward(std::move(stream.h), std::move(units), dropout, rows);
    if (saved != nullptr) *saved = rows.saved;
    return {std::move(h), rows.y};
  }
  const at::Tensor h = out.add_forward(std::move(stream.h), std::move(units), dropout);
  if (place == NormPlace::before) return {h, norm.forward(h, out.dtype(), saved)};
  const at::Tensor normed = norm.forward(h, h.scalar_type(), saved);
  return {normed, normed.to(out.dtype())};
}

template <class Norm>
at::Tensor norm_backward(const FrozenLinear& in, const at::Tensor& dy, const StreamNorm<Norm>& norm, at::Tensor& d) {
  if (in.fuses() && takes_rows(norm.saved, in.dtype(), d)) {
    const kernels::NormBackward rows(norm.norm.weights(), norm.saved, norm.dropout);
    const auto before = [&](const at::Tensor& dx, int64_t first, int64_t count) { rows.before(dx, d, first, count); };
    const auto behind = [&](const at::Tensor& sum, int64_t first, int64_t count) { rows.behind(sum, first, count); };
    if (norm.place == NormPlace::before)
      in.backward_input(dy, before);
    else
      d = in.add_backward_input(std::move(d), dy, behind);
    return rows.branch;
  }
  if (norm.place == NormPlace::before) {
    norm.norm.backward(in.backward_input(dy), norm.saved, d);
    return through_dropout(d, norm.dropout, in.dtype(), in.kernels());
  }
  add_backward(in, dy, d);
  return norm_backward(norm, in.dtype(), d);
}

template <class Norm>
at::Tensor norm_backward(const StreamNorm<Norm>& norm, at::ScalarType dtype, at::Tensor& d) {
  if (norm.norm.kernels != Kernels::own || !takes_rows(norm.saved, dtype, d)) {
    d = through_norm(norm.norm, norm.saved, d);
    return through_dropout(d, norm.dropout, dtype, norm.norm.kernels);
  }
  const kernels::NormBackward rows(norm.norm.weights(), norm.saved, norm.dropout);
  kernels::for_all_rows(d, [&](const at::Tensor& x, int64_t first, int64_t count) { rows.behind(x, first, count); });
  return rows.branch;
}

void add_backward(const FrozenLinear& in, const at::Tensor& dy, at::Tensor& d) {
  d = in.fuses() ? in.add_backward_input(std::move(d), dy, {}) : kernels::add_dropout(d, in.backward_input(dy), {}, in.kernels());
}

#define DEPT_STREAM(Norm)                                                                                                       \
  template ResidualStream add_and_norm(const FrozenLinear&, ResidualStream, at::Tensor, const Dropout&, const Norm&, NormPlace, \
                                       Norm::Saved*);                                                                           \
  template at::Tensor norm_backward(const FrozenLinear&, const at::Tensor&, const StreamNorm<Norm>&, at::Tensor&);              \
  template at::Tensor norm_backward(const StreamNorm<Norm>&, at::ScalarType, at::Tensor&);
DEPT_STREAM(RmsNorm)
DEPT_STREAM(LayerNorm)
#undef DEPT_STREAM

}  // namespace dept::nn
