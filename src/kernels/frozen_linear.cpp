#include "dept/kernels/frozen_linear.h"

#include <ATen/Parallel.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>

#include "dept/kernels/activation.h"
#include "dept/tensor/context.h"
#include "kernels/check.h"
#include "kernels/cpu/int8_matrix.h"
#include "kernels/cpu/packed_linear.h"

namespace dept::kernels {
namespace {

// x [N, H * A] times a matrix [A, B] of each head [H, A, B] -> [N, H * B]
at::Tensor multiply_heads(const at::Tensor& x, const at::Tensor& matrices) {
  const at::Tensor heads = x.view({x.size(0), matrices.size(0), matrices.size(1)}).transpose(0, 1);
  return at::bmm(heads, matrices).transpose(0, 1).reshape({x.size(0), matrices.size(0) * matrices.size(2)});
}

// The same with matrix(h) packed.
template <class Matrix>
at::Tensor multiply_heads(const at::Tensor& x, int64_t heads, Matrix&& matrix) {
  const int64_t from = x.size(1) / heads, to = matrix(0).n;
  at::Tensor out = at::empty({x.size(0), heads * to}, x.options());
  at::parallel_for(0, heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t h = begin; h < end; ++h)
      packed_product_into(x.narrow(1, h * from, from), matrix(h), {}, out.narrow(1, h * to, to));
  });
  return out;
}

}  // namespace

FrozenLinear::FrozenLinear(FrozenMatrix weight, at::Tensor bias) : weight_(std::move(weight)), bias_(std::move(bias)) {
  const at::ScalarType dtype = weight_.dtype();
  // fp32 is left to LibTorch, whose products are faster than panels of it (docs/performance.md).
  const bool packs = dtype == at::kBFloat16 && has_packed_products() && kernels() == Kernels::own && device().is_cpu() &&
                     weight_.held_as(dtype) && can_pack(weight_.columns(), weight_.rows()) &&
                     can_pack(weight_.rows(), weight_.columns());
  if (!packs) return;
  packed_ = std::make_shared<PackedLinear>(weight_.dense());
  weight_ = FrozenMatrix::nothing(dtype);
}

FrozenLinear FrozenLinear::int8(const at::Tensor& weight, at::Tensor bias) {
  if (!cpu_has_int8()) fail(Code::usage, "backbone_dtype", "a CPU with AVX512-BF16 and AVX512-VNNI for int8", "another");
  FrozenLinear linear(FrozenMatrix::nothing(at::kBFloat16), std::move(bias));
  linear.packed_ = std::make_shared<PackedLinear>(quantise_transposed(weight));
  return linear;
}

int64_t FrozenLinear::in() const {
  return packed_ ? packed_->in() : weight_.columns();
}
int64_t FrozenLinear::out() const {
  return packed_ ? packed_->out() : weight_.rows();
}
at::Tensor FrozenLinear::weight() const {
  return packed_ ? packed_->weight() : weight_.dense();
}

void FrozenLinear::check(const at::Tensor& x, int64_t columns, std::string_view where) const {
  expect(x.dim() == 2 && x.size(1) == columns && x.scalar_type() == dtype(), where, dept::str(dtype(), " [N, ", columns, "]"), x);
  expect_on(device(), x, where);
}

at::Tensor FrozenLinear::forward(const at::Tensor& x) const {
  check(x, in(), "FrozenLinear.forward");
  at::Tensor y = packed_ ? packed_product(x, packed_->forward(), bias_) : weight_.forward(x, bias_);
  if (delta != nullptr) delta->add_forward(x, y);
  return y;
}

at::Tensor FrozenLinear::backward_input(const at::Tensor& dy) const {
  check(dy, out(), "FrozenLinear.backward_input");
  at::Tensor dx = packed_ ? packed_product(dy, packed_->backward(), {}) : weight_.backward_input(dy);
  if (delta != nullptr) delta->add_backward_input(dy, dx);
  return dx;
}

bool FrozenLinear::packs_heads(HeadRows rows) const {
  if (packed_ == nullptr) return false;
  expect(!packed_->forward().int8(), "FrozenLinear heads", "a weight in bf16", packed_->forward().data);
  return rows.first % panel_columns == 0 && rows.width % panel_columns == 0;
}

// [heads, width, in]
at::Tensor FrozenLinear::head_weights(HeadRows rows) const {
  return weight().narrow(0, rows.first, rows.heads * rows.width).view({rows.heads, rows.width, in()});
}

at::Tensor FrozenLinear::forward_heads(const at::Tensor& x, HeadRows rows) const {
  check(x, rows.heads * in(), "FrozenLinear.forward_heads");
  if (!packs_heads(rows)) return multiply_heads(x, head_weights(rows).transpose(1, 2));
  return multiply_heads(x, rows.heads,
                        [&](int64_t h) { return packed_->forward().columns(rows.first + h * rows.width, rows.width); });
}

at::Tensor FrozenLinear::backward_heads(const at::Tensor& x, HeadRows rows) const {
  check(x, rows.heads * rows.width, "FrozenLinear.backward_heads");
  if (!packs_heads(rows)) return multiply_heads(x, head_weights(rows));
  return multiply_heads(x, rows.heads,
                        [&](int64_t h) { return packed_->backward().rows(rows.first + h * rows.width, rows.width); });
}

bool FrozenLinear::fuses(const Units& units, const FrozenLinear& behind) const {
  return fuses() && behind.fuses() && (!units.gated || out() % (2 * panel_columns) == 0);
}

void FrozenLinear::check_fused(const at::Tensor& x, int64_t columns, const Dropout& dropout, std::string_view where) const {
  if (!fuses()) fail(Code::bug, where, "a packed weight", "another");
  check(x, columns, where);
  expect_rows(dropout, x.size(0), where);
}

at::Tensor FrozenLinear::add_forward(at::Tensor h, at::Tensor x, const Dropout& dropout, RowsDone then) const {
  constexpr std::string_view where = "FrozenLinear.add_forward";
  expect_on(device(), h, where);
  if (!fuses() && !then) {
    x = forward(x);  // what was multiplied gives its memory back
    return add_dropout(h, x, dropout, kernels());
  }
  check_fused(x, in(), dropout, where);
  return packed_add(std::move(h), x, packed_->forward(), bias_, dropout, then);
}

at::Tensor FrozenLinear::backward_input(const at::Tensor& dy, RowsDone then) const {
  check_fused(dy, out(), {}, "FrozenLinear.backward_input");
  return packed_product(dy, packed_->backward(), {}, then);
}

at::Tensor FrozenLinear::add_backward_input(at::Tensor d, const at::Tensor& dy, RowsDone then) const {
  check_fused(dy, out(), {}, "FrozenLinear.add_backward_input");
  return packed_add(std::move(d), dy, packed_->backward(), {}, {}, then);
}

at::Tensor FrozenLinear::forward_units(const at::Tensor& x, const Units& units, const Dropout& dropout, at::Tensor* kept) const {
  check_fused(x, in(), dropout, "FrozenLinear.forward_units");
  return packed_units(x, packed_->forward(), bias_, units, dropout, kept);
}

at::Tensor FrozenLinear::backward_units(const at::Tensor& dy, const Units& units, const Dropout& dropout,
                                        const at::Tensor& kept) const {
  check_fused(dy, out(), dropout, "FrozenLinear.backward_units");
  expect_on(dy.device(), kept, "FrozenLinear.backward_units");
  return packed_units_backward(dy, packed_->backward(), units, dropout, kept);
}

}  // namespace dept::kernels
