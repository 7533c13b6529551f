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
  const at::Tensor words = table.select(on_host.to(table.device()), arithmetic_type(table));
  return scale == 1 ? words : words * scale;
}

// A bf16 product would round logits to 8 bits.
at::Tensor Head::forward(const at::Tensor& hidden) const {
  at::Tensor logits = table.forward_wide(hidden);
  if (scale != 1) logits.mul_(scale);
  return cap == 0 ? logits : logits.div_(cap).tanh_().mul_(cap);
}

at::Tensor Head::backward(const at::Tensor& d_logits, const at::Tensor& logits) const {
  at::Tensor d = scale == 1 ? d_logits : d_logits * scale;
  if (cap != 0) {
    const at::Tensor share = logits / cap;
    d = d * (1 - share * share);
  }
  return table.backward_input(d.to(table.dtype()));
}

}  // namespace dept::nn
