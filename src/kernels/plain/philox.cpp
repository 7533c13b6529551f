#include "kernels/plain/philox.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/stack.h>

#include <algorithm>

#include "kernels/origin.h"

namespace dept::kernels::plain {
namespace {

constexpr int64_t low32 = 0xFFFFFFFF;

at::Tensor low(const at::Tensor& x) {
  return x.bitwise_and(low32);
}
// Of a product modulo 2^64; the shift brings in copies of the sign.
at::Tensor high(const at::Tensor& x) {
  return low(x.bitwise_right_shift(32));
}

// philox() of counters `block` [...], its four words side by side: [..., 4].
at::Tensor philox_words(const at::Tensor& block, const Streams& streams) {
  at::Tensor a = low(block), b = streams.example, c = streams.micro_step;
  at::Tensor d = streams.layer_site.bitwise_xor(low(high(block).bitwise_left_shift(24)));
  at::Tensor k0 = streams.seed_low, k1 = streams.seed_high;
  for (int round = 0; round < 10; ++round) {
    const at::Tensor x = a * int64_t{0xD2511F53}, y = c * int64_t{0xCD9E8D57};
    a = high(y).bitwise_xor(b).bitwise_xor(k0);
    b = low(y);
    c = high(x).bitwise_xor(d).bitwise_xor(k1);
    d = low(x);
    k0 = low(k0 + int64_t{0x9E3779B9});
    k1 = low(k1 + int64_t{0xBB67AE85});
  }
  return at::stack({a, b, c, d}, -1);
}

}  // namespace

void Streams::from(const std::vector<DropoutStream>& streams, Upload& upload) {
  const auto add = [&](at::Tensor& to, auto&& field) {
    std::vector<int64_t> values;
    for (const DropoutStream& stream : streams) values.push_back(static_cast<int64_t>(field(stream)));
    upload.add(values, to);
  };
  add(seed_low, [](const DropoutStream& s) { return s.seed & low32; });
  add(seed_high, [](const DropoutStream& s) { return s.seed >> 32; });
  add(example, [](const DropoutStream& s) { return s.example; });
  add(micro_step, [](const DropoutStream& s) { return s.micro_step; });
  add(layer_site, [](const DropoutStream& s) { return s.layer_site; });
}

at::Tensor numbers(const at::Tensor& first, int64_t count, const Streams& streams) {
  constexpr int64_t in_block = 8, half_word = 16;
  const int64_t blocks = (count + 2 * (in_block - 1)) / in_block;  // the first number stands anywhere in its block
  const at::Tensor begin = first.unsqueeze(-1), range = at::arange(std::max(blocks, count), first.options());
  const at::Tensor words = philox_words(begin.bitwise_right_shift(3) + range.slice(0, 0, blocks), streams);
  const at::Tensor halves = at::stack({words.bitwise_and(0xFFFF), words.bitwise_right_shift(half_word)}, -1);
  return at::gather(halves.flatten(-3), -1, begin.bitwise_and(in_block - 1) + range.slice(0, 0, count));
}

namespace {

// The streams of a dropout's sequences; of each row its sequence, and its token counted within that.
struct DropoutLists {
  Streams streams;
  at::Tensor sequence, token;

  // `upload` keeps where these tensors are.
  void make(const Dropout& dropout, Upload& upload) {
    std::vector<int64_t> sequences, tokens;
    for (size_t b = 0; b + 1 < dropout.first_token.size(); ++b)
      for (int64_t n = dropout.first_token[b]; n < dropout.first_token[b + 1]; ++n) {
        sequences.push_back(static_cast<int64_t>(b));
        tokens.push_back(dropout.token(b, n));
      }
    streams.from(dropout.streams, upload);
    upload.add(sequences, sequence);
    upload.add(tokens, token);
  }
};

}  // namespace

Mask::Mask(const Dropout& dropout, int64_t columns, at::Device device) {
  if (!dropout) return;
  Upload upload;
  DropoutLists lists;
  lists.make(dropout, upload);
  upload.send(device, [origin = DropoutOrigin(dropout)](const StepBatch& now, Upload& more) {
    DropoutLists().make(origin.of(now), more);
  });
  const Streams of_rows = lists.streams.each([&](const at::Tensor& x) { return x.index_select(0, lists.sequence).unsqueeze(1); });
  kept = numbers(lists.token * columns, columns, of_rows).ge(int64_t{dropout_threshold(dropout.p)});
  scale = dropout_scale(dropout.p);
}

at::Tensor Mask::operator()(const at::Tensor& x) const {
  // Not `where` with a number: to a GPU that copies it, and waits.
  return kept.defined() ? (x * scale).masked_fill(kept.logical_not(), 0) : x;
}

}  // namespace dept::kernels::plain
