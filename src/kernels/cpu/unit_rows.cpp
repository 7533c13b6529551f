#include "kernels/cpu/unit_rows.h"

#include <cmath>

namespace dept::kernels {
namespace {

struct Point {
  double value, slope;
};

Point sigmoid(double u, double u_slope) {
  const double s = 1 / (1 + std::exp(-u));
  return {s, s * (1 - s) * u_slope};
}

Point normal(double x) {
  return {0.5 * std::erfc(-x * 0.70710678118654752440), 0.39894228040143267794 * std::exp(-0.5 * x * x)};
}

Point gate(Activation f, double x) {
  constexpr double linear = 1.59576912160573071176, cubic = linear * 0.044715;  // 2 sqrt(2 / pi)
  if (f == Activation::gelu) return normal(x);
  if (f == Activation::gelu_new) return sigmoid(x * (linear + cubic * x * x), linear + 3 * cubic * x * x);
  return sigmoid(x, 1);
}

// By values and slopes at the ends of each piece.
GateTable made(Activation f) noexcept {
  GateTable table{};
  const double reach = f == Activation::silu ? 16 : 5.5, width = reach / GateTable::pieces;
  table.pieces_in_one = static_cast<float>(1 / width);
  for (int i = 0; i < GateTable::pieces; ++i) {
    const Point left = gate(f, i * width), right = i + 1 < GateTable::pieces ? gate(f, (i + 1) * width) : Point{1, 0};
    const double step = right.value - left.value, from = width * left.slope, to = width * right.slope;
    const double terms[4] = {left.value, from, 3 * step - 2 * from - to, from + to - 2 * step};
    for (int k = 0; k < 4; ++k) table.terms[k][i] = static_cast<float>(terms[k]);
  }
  return table;
}

const GateTable gelu_table = made(Activation::gelu), gelu_new_table = made(Activation::gelu_new),
                silu_table = made(Activation::silu);

}  // namespace

const GateTable& GateTable::of(Activation f) {
  return f == Activation::gelu ? gelu_table : f == Activation::gelu_new ? gelu_new_table : silu_table;
}

}  // namespace dept::kernels
