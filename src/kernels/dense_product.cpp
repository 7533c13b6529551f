#include "kernels/dense_product.h"

#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>

#include <optional>
#include <string_view>

namespace dept::kernels {
namespace {

// at::linear and at::mm give fp32 to MKL, which leaves AVX-512 unused on a CPU that Intel has not made. oneDNN uses it, but it
// takes longer to begin, and it adds up fewer rows than these in another order.
constexpr int64_t least_values = int64_t{1} << 16;  // of W
constexpr int64_t least_rows_forward = 128, least_rows_backward = 16;

bool by_onednn(const at::Tensor& x, const at::Tensor& w, int64_t least_rows) {
  static const bool intel = __builtin_cpu_is("intel") != 0;
  return !intel && x.is_cpu() && x.scalar_type() == at::kFloat && x.size(0) >= least_rows && w.numel() >= least_values;
}

}  // namespace

at::Tensor onednn_linear(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias) {
  using Scalars = c10::List<std::optional<at::Scalar>>;
  using Signature = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, std::string_view, Scalars,
                               std::optional<std::string_view>);
  static const auto linear = c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_linear_pointwise", "").typed<Signature>();
  return linear.call(x.contiguous(), w, bias.defined() ? std::optional(bias) : std::nullopt, "none", Scalars(), "");
}

at::Tensor dense_forward(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias) {
  return by_onednn(x, w, least_rows_forward) ? onednn_linear(x, w, bias) : at::linear(x, w, bias);
}

at::Tensor dense_backward(const at::Tensor& dy, const at::Tensor& w) {
  return by_onednn(dy, w, least_rows_backward) ? onednn_linear(dy, w.t(), {}) : at::mm(dy, w);
}

}  // namespace dept::kernels
