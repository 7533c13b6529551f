#include "models/t5_blocks.h"

namespace dept {

nn::AttentionPlan T5Plan::self_of(int64_t layer) const {
  nn::AttentionPlan made = self;
  made.options.relative_bias = biases.size() > 1 ? biases[static_cast<size_t>(layer)] : biases.front();
  made.dropout = dropout(layer, Site::self_attention_probabilities);
  return made;
}

nn::AttentionPlan T5Plan::cross_of(int64_t layer) const {
  nn::AttentionPlan made = cross;
  made.dropout = dropout(layer, Site::cross_attention_probabilities);
  return made;
}

int64_t T5Block::Saved::bytes() const {
  return bytes_of({attention.qkv, attention.lse, cross.q, cross.memory.kv, cross.lse, feed_forward.kept}) +
         bytes_of(attention_norm) + bytes_of(cross_norm) + bytes_of(feed_forward_norm);
}

using kernels::NormPlace;

nn::ResidualStream T5Block::forward(nn::ResidualStream stream, const nn::CrossAttention::Memory& memory, const T5Plan& plan,
                                    int64_t layer, Saved* saved, const nn::NextNorm<nn::RmsNorm>& next) const {
  if (!stream.x.defined()) stream.x = attention_norm.forward(stream.h, plan.dtype, saved ? &saved->attention_norm : nullptr);
  at::Tensor attended = attention.attend(stream.x, plan.self_of(layer), saved ? &saved->attention : nullptr);
  return behind_attention(std::move(stream), std::move(attended), cross ? cross->own_memory(memory) : memory, plan, layer, saved,
                          next);
}

nn::ResidualStream T5Block::extend(nn::ResidualStream stream, const nn::CrossAttention::Memory& memory, const T5Plan& plan,
                                   nn::SlotCache& cache, int64_t layer, const at::Tensor& rows,
                                   const nn::NextNorm<nn::RmsNorm>& next) const {
  if (!stream.x.defined()) stream.x = attention_norm.forward(stream.h, plan.dtype, nullptr);
  at::Tensor attended = attention.extend(stream.x, plan.self_of(layer), cache, layer, rows);
  return behind_attention(std::move(stream), std::move(attended), memory, plan, layer, nullptr, next);
}

nn::ResidualStream T5Block::behind_attention(nn::ResidualStream stream, at::Tensor attended,
                                             const nn::CrossAttention::Memory& memory, const T5Plan& plan, int64_t layer,
                                             Saved* saved, const nn::NextNorm<nn::RmsNorm>& next) const {
  const nn::RmsNorm& behind = cross ? cross_norm : feed_forward_norm;
  stream = nn::add_and_norm(attention.out, std::move(stream), std::move(attended),
                            plan.dropout(layer, Site::self_attention_output), behind, NormPlace::before,
                            !saved  ? nullptr
                            : cross ? &saved->cross_norm
                                    : &saved->feed_forward_norm);
  if (cross) {
    at::Tensor read = cross->attend(stream.x, memory, plan.cross_of(layer), saved ? &saved->cross : nullptr);
    stream = nn::add_and_norm(cross->out, std::move(stream), std::move(read), plan.dropout(layer, Site::cross_attention_output),
                              feed_forward_norm, NormPlace::before, saved ? &saved->feed_forward_norm : nullptr);
  }
  at::Tensor units =
      feed_forward.units(stream.x, plan.dropout(layer, Site::feed_forward_inner), saved ? &saved->feed_forward : nullptr);
  return nn::add_and_norm(feed_forward.wo, std::move(stream), std::move(units), plan.dropout(layer, Site::feed_forward_output),
                          *next.norm, NormPlace::before, next.saved);
}

at::Tensor T5Block::backward(at::Tensor& d, at::Tensor& d_memory, const T5Plan& plan, int64_t layer, const Saved& saved,
                             at::Tensor branch, bool first) const {
  const auto through = [&](const kernels::FrozenLinear& in, const at::Tensor& dy, const nn::RmsNorm& norm,
                           const nn::RmsNorm::Saved& kept, const kernels::Dropout* before) {
    return nn::norm_backward(in, dy, nn::StreamNorm<nn::RmsNorm>{norm, NormPlace::before, kept, before}, d);
  };
  const kernels::Dropout attended = plan.dropout(layer, Site::self_attention_output),
                         crossed = plan.dropout(layer, Site::cross_attention_output),
                         fed = plan.dropout(layer, Site::feed_forward_output),
                         below = first ? kernels::Dropout() : plan.dropout(layer - 1, Site::feed_forward_output);
  if (!branch.defined()) branch = kernels::add_dropout_backward(d, fed, plan.dtype, plan.kernels);
  branch = feed_forward.backward_units(branch, plan.dropout(layer, Site::feed_forward_inner), saved.feed_forward);
  branch = through(feed_forward.wi, branch, feed_forward_norm, saved.feed_forward_norm, cross ? &crossed : &attended);
  if (cross)
    branch = through(cross->q, cross->backward_queries(branch, plan.cross_of(layer), saved.cross, d_memory), cross_norm,
                     saved.cross_norm, &attended);
  return through(attention.qkv, attention.backward_heads(branch, plan.self_of(layer), saved.attention), attention_norm,
                 saved.attention_norm, first ? nullptr : &below);
}

}  // namespace dept
