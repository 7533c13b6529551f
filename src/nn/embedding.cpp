#include <ATen/TensorOperators.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include <algorithm>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/nn/modules.h"

namespace dept::nn {
namespace {

at::ScalarType arithmetic_type(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

}  // namespace

at::Tensor Embedding::forward(const at::Tensor& ids) const {
  if (ids.dim() != 1 || ids.scalar_type() != at::kLong)
    fail(Code::bug, "Embedding", "ids as int64 [N]", dept::str(ids.scalar_type(), " ", ids.sizes()));
  const at::Tensor flat = ids.contiguous();
  const int64_t* id = flat.const_data_ptr<int64_t>();
  for (int64_t n = 0; n < flat.size(0); ++n)
    if (id[n] < 0 || id[n] >= table.size(0))
      fail(Code::bad_input, "input_ids", dept::str("ids from 0 to ", table.size(0) - 1), dept::str(id[n]));
  return at::embedding(table, flat).to(arithmetic_type(table));
}

// A bf16 product would round logits to 8 bits; the table is widened piece by piece instead.
at::Tensor Head::forward(const at::Tensor& hidden) const {
  const at::ScalarType dtype = arithmetic_type(table);
  const at::Tensor x = hidden.to(dtype) * scale;
  if (table.scalar_type() == dtype) return at::mm(x, table.t());
  constexpr int64_t piece = 4096;
  at::Tensor logits = at::empty({hidden.size(0), table.size(0)}, x.options());
  for (int64_t begin = 0; begin < table.size(0); begin += piece) {
    const int64_t end = std::min(begin + piece, table.size(0));
    logits.slice(1, begin, end).copy_(at::mm(x, table.slice(0, begin, end).to(dtype).t()));
  }
  return logits;
}

at::Tensor Head::backward(const at::Tensor& d_logits) const {
  return at::mm((d_logits * scale).to(table.scalar_type()), table);
}

}  // namespace dept::nn
