#include "dept/kernels/disentangled_attention.h"

#include <algorithm>

#include "dept/tensor/tables.h"
#include "kernels/siblings.h"

namespace dept::kernels {
namespace {

bool are_heads(const at::Tensor& x, const at::Tensor& like) {
  return x.dim() == 3 && x.sizes() == like.sizes() && x.stride(2) == 1 && x.scalar_type() == like.scalar_type();
}

void check_spans(const DisentangledInputs& in, const std::vector<AttentionSpan>& spans, std::string_view where) {
  int64_t longest = 0;
  for (const AttentionSpan& span : spans) {
    if (span.prefix_length > 0 || span.outside || span.q_begin != span.k_begin || span.q_length != span.k_length)
      fail(Code::bug, where, "spans of self-attention without prefixes", "others");
    longest = std::max(longest, span.q_length);
  }
  for (const at::Tensor* table : {&in.position_keys, &in.position_queries})
    if (table->defined())
      expect(table->dim() == 3 && table->size(0) == in.q.size(1) && table->size(1) % 2 == 1 &&
                 table->size(1) >= 2 * longest - 1 && table->size(2) == in.q.size(2) &&
                 table->scalar_type() == in.q.scalar_type(),
             where, dept::str("[", in.q.size(1), ", 2R + 1, ", in.q.size(2), "] with R at least ", longest - 1), *table);
}

// Returns the device.
at::Device check(const DisentangledInputs& in, const std::vector<AttentionSpan>& spans, const AttentionOptions& options,
                 std::string_view where) {
  if (Tables::current() != nullptr)
    fail(Code::bug, where, "a step that is not recorded, as rows are found by numbers of the host", "one that is");
  expect_compute_type(in.q, where);
  for (const at::Tensor* x : {&in.q, &in.k, &in.v}) expect(are_heads(*x, in.q), where, "[N, H, K], one dtype", *x);
  check_spans(in, spans, where);
  if (options.causal || options.window > 0 || options.score_cap > 0 || options.relative_bias.defined())
    fail(Code::bug, where, "no mask, window, cap or bias", "one");
  return common_device(where, in.q, in.k, in.v, in.position_keys, in.position_queries);
}

}  // namespace

at::Tensor disentangled_attention(const DisentangledInputs& in, const std::vector<AttentionSpan>& spans,
                                  const AttentionOptions& options) {
  const at::Device device = check(in, spans, options, "disentangled_attention");
  return choose(device, options.kernels, plain::disentangled_attention, plain::disentangled_attention)(in, spans, options);
}

void disentangled_attention_backward(const at::Tensor& d_out, const DisentangledInputs& in,
                                     const std::vector<AttentionSpan>& spans, const AttentionOptions& options,
                                     const AttentionGradients& to) {
  constexpr std::string_view where = "disentangled_attention_backward";
  const at::Device device = check(in, spans, options, where);
  expect(d_out.sizes() == at::IntArrayRef({in.q.size(0), in.q.size(1) * in.q.size(2)}) && d_out.is_contiguous() &&
             d_out.scalar_type() == in.q.scalar_type(),
         where, "d_out like what disentangled_attention returned", d_out);
  for (const at::Tensor* d : {&to.q, &to.k, &to.v}) expect(are_heads(*d, in.q), where, "gradients shaped like the inputs", *d);
  common_device(where, in.q, d_out, to.q, to.k, to.v);
  choose(device, options.kernels, plain::disentangled_attention_backward, plain::disentangled_attention_backward)(
      d_out, in, spans, options, to);
}

}  // namespace dept::kernels
