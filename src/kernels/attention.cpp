#include "dept/kernels/attention.h"

#include <algorithm>

#include "kernels/cpu/attention_parts.h"
#include "kernels/siblings.h"

namespace dept::kernels {

std::vector<AttentionSpan> self_attention_spans(const Ragged& tokens) {
  std::vector<AttentionSpan> spans;
  for (int64_t b = 0; b < tokens.batch(); ++b) {
    AttentionSpan span{tokens.offsets[b], tokens.length(b), tokens.offsets[b], tokens.length(b)};
    span.sequence = b;
    span.queries = span.keys = tokens.part;
    if (const int64_t p = tokens.prefix[b]; p >= 0) {
      span.prefix_begin = tokens.offsets[p];
      span.prefix_length = tokens.length(p);
    }
    if (!tokens.outside.empty() && tokens.outside[b]) {  // one token a sequence
      span.k_begin = std::exchange(span.prefix_begin, 0);
      span.k_length = std::exchange(span.prefix_length, 0);
      span.outside = true;
    }
    if (!tokens.unbiased.empty()) span.unbiased = tokens.unbiased[b];
    if (span.q_length > 0) spans.push_back(span);
  }
  return spans;
}

std::vector<AttentionSpan> cross_attention_spans(const Ragged& queries, const Ragged& keys) {
  std::vector<AttentionSpan> spans;
  for (int64_t b = 0; b < queries.batch(); ++b) {
    AttentionSpan span{queries.offsets[b], queries.length(b), keys.offsets[b], keys.length(b)};
    span.sequence = b;
    span.queries = queries.part;
    span.keys = keys.part;
    if (span.q_length > 0) spans.push_back(span);
  }
  return spans;
}

namespace {

// What the kernel for tensor cores takes; all else on a GPU is plain.
bool on_tensor_cores(const AttentionInputs& in, const std::vector<AttentionSpan>& spans, const AttentionOptions& options) {
  const int64_t K = in.q.size(2);
  if (in.q.scalar_type() != at::kBFloat16 || in.memory != nullptr || (K != 64 && K != 128)) return false;
  if (options.window > 0 || options.score_cap > 0) return false;
  if (std::any_of(spans.begin(), spans.end(), [](const AttentionSpan& span) { return span.unbiased > 0; })) return false;
  constexpr int64_t at_once = 8;  // values of a 16-byte load
  for (const at::Tensor* x : {&in.q, &in.k, &in.v})
    if (x->stride(0) % at_once != 0 || x->storage_offset() % at_once != 0) return false;
  return true;
}

bool heads_are_contiguous(const at::Tensor& x) {
  return x.dim() == 3 && x.stride(2) == 1 && x.stride(1) == x.size(2);
}

void check_inputs(const AttentionInputs& in, const AttentionOptions& options, std::string_view where) {
  for (const at::Tensor* x : {&in.q, &in.k, &in.v})
    expect(heads_are_contiguous(*x) && x->scalar_type() == in.q.scalar_type(), where,
           "[N, heads, K] with contiguous heads, one dtype", *x);
  expect_compute_type(in.q, where);
  expect(in.k.sizes() == in.v.sizes() && in.k.size(2) == in.q.size(2) && in.q.size(1) % in.k.size(1) == 0, where,
         "k and v alike, heads a multiple", in.k);
  if (options.window < 0 || options.score_cap < 0)
    fail(Code::bug, where, "a window and a cap of at least 0", dept::str(options.window, " and ", options.score_cap));
  const at::Tensor& bias = options.relative_bias;
  if (bias.defined())
    expect(bias.dim() == 2 && bias.size(0) == in.q.size(1) && bias.is_contiguous() &&
               bias.scalar_type() == arithmetic_type(in.q.scalar_type()),
           where, "relative_bias [H, 2R + 1] in the arithmetic type", bias);
}

void check_gradient(const at::Tensor& d, const at::Tensor& like, std::string_view where) {
  expect(d.sizes() == like.sizes() && heads_are_contiguous(d) && d.scalar_type() == like.scalar_type(), where,
         "gradients shaped like the inputs", d);
}

// Of what backward takes beside the inputs.
void check_gradients(const at::Tensor& d_out, const at::Tensor& lse, const AttentionInputs& in, const AttentionGradients& to,
                     std::string_view where) {
  const int64_t queries = in.q.size(0), heads = in.q.size(1);
  const at::ScalarType statistics = arithmetic_type(in.q.scalar_type());
  expect(d_out.sizes() == at::IntArrayRef({queries, heads * in.q.size(2)}) && d_out.is_contiguous() &&
             d_out.scalar_type() == in.q.scalar_type(),
         where, "d_out like what attention returned", d_out);
  expect(lse.sizes() == at::IntArrayRef({heads, queries}) && lse.is_contiguous() && lse.scalar_type() == statistics, where,
         "lse as attention returned it", lse);
  check_gradient(to.q, in.q, where);
  if (in.memory == nullptr) {
    check_gradient(to.k, in.k, where);
    check_gradient(to.v, in.v, where);
  } else {
    expect(to.memory.defined() && to.memory.sizes() == at::IntArrayRef({in.k.size(0), in.k.size(2)}) &&
               to.memory.is_contiguous() && to.memory.scalar_type() == statistics,
           where, "the memory's gradient [Nk, K] in the arithmetic type", to.memory);
  }
}

}  // namespace

AttentionMemory attention_memory(const at::Tensor& x, const Ragged& tokens, Kernels kernels) {
  expect(x.dim() == 2 && x.is_contiguous() && x.size(0) == tokens.tokens(), "attention_memory",
         dept::str("contiguous [", tokens.tokens(), ", K]"), x);
  AttentionMemory memory{x.unsqueeze(1), {}, {}, {}};
  if (kernels == Kernels::own && x.is_cpu() && tileable(memory.x)) pack_memory(tokens, memory);
  return memory;
}

at::Tensor attention(const AttentionInputs& in, const std::vector<AttentionSpan>& spans, const AttentionOptions& options,
                     at::Tensor* lse) {
  constexpr std::string_view where = "attention";
  check_inputs(in, options, where);
  const at::Device device = common_device(where, in.q, in.k, in.v, options.relative_bias);
  auto* const on_cuda = on_tensor_cores(in, spans, options) ? DEPT_CUDA_KERNEL(attention) : plain::attention;
  return choose(device, options.kernels, cpu::attention, plain::attention, on_cuda)(in, spans, options, lse);
}

void attention_backward(const at::Tensor& d_out, const at::Tensor& lse, const AttentionInputs& in,
                        const std::vector<AttentionSpan>& spans, const AttentionOptions& options, const AttentionGradients& to) {
  constexpr std::string_view where = "attention_backward";
  check_inputs(in, options, where);
  check_gradients(d_out, lse, in, to, where);
  const at::Device device =
      common_device(where, in.q, in.k, in.v, options.relative_bias, d_out, lse, to.q, to.k, to.v, to.memory);
  auto* const on_cuda = on_tensor_cores(in, spans, options) ? DEPT_CUDA_KERNEL(attention_backward) : plain::attention_backward;
  choose(device, options.kernels, cpu::attention_backward, plain::attention_backward, on_cuda)(d_out, lse, in, spans, options,
                                                                                               to);
}

}  // namespace dept::kernels
