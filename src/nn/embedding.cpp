#include <ATen/TensorOperators.h>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/nn/modules.h"

namespace dept::nn {
namespace {

at::ScalarType arithmetic_type(const kernels::FrozenMatrix& table) {
  return table.dtype() == at::kDouble ? at::kDouble : at::kFloat;
}

}  // namespace

at::Tensor Embedding::forward(const at::Tensor& ids) const {
  if (ids.dim() != 1 || ids.scalar_type() != at::kLong)
    fail(Code::bug, "Embedding", "ids as int64 [N]", dept::str(ids.scalar_type(), " ", ids.sizes()));
  const at::Tensor on_host = ids.cpu().contiguous();
  const int64_t* id = on_host.const_data_ptr<int64_t>();
  for (int64_t n = 0; n < on_host.size(0); ++n)
    if (id[n] < 0 || id[n] >= table.rows())
      fail(Code::bad_input, "input_ids", dept::str("ids from 0 to ", table.rows() - 1), dept::str(id[n]));
  return table.select(on_host.to(table.device()), arithmetic_type(table));
}

// A bf16 product would round logits to 8 bits.
at::Tensor Head::forward(const at::Tensor& hidden) const {
  const at::Tensor logits = table.forward_wide(hidden);
  return scale == 1 ? logits : logits.mul_(scale);
}

at::Tensor Head::backward(const at::Tensor& d_logits) const {
  return table.backward_input((d_logits * scale).to(table.dtype()));
}

}  // namespace dept::nn
