// Frozen modules: each has a forward that keeps what its backward needs, and a backward to its inputs only.
// Residual streams are fp32 (fp64 in the reference) [N, D]; branches are of the compute type C.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <vector>

#include "dept/kernels/activation.h"
#include "dept/kernels/attention.h"
#include "dept/kernels/disentangled_attention.h"
#include "dept/kernels/frozen_linear.h"
#include "dept/kernels/norm_rows.h"
#include "dept/kernels/rms_norm.h"
#include "dept/kernels/rope.h"
#include "dept/nn/kv_cache.h"
#include "dept/nn/weights.h"

namespace dept::nn {

/// Word embeddings and, where they are tied, the head.
struct Embedding {
  kernels::FrozenMatrix table;  ///< [V, D]
  double scale = 1;             ///< of what is looked up (Gemma)

  /// ids int64 [N], best on the CPU, where they are checked -> [N, D] fp32 (fp64) on the table's device. Throws bad_input for an
  /// id outside the vocabulary.
  at::Tensor forward(const at::Tensor& ids) const;
};

/// The language-model head, hidden -> logits in fp32 (fp64) whatever the storage: scale * x table^T, of which a cap c > 0 makes
/// c tanh(y / c) (Gemma 2).
struct Head {
  kernels::FrozenMatrix table;  ///< [V, D]
  double scale = 1;
  double cap = 0;

  /// hidden C [n, D] -> fp32 (fp64) [n, V]
  at::Tensor forward(const at::Tensor& hidden) const;
  /// d_logits fp32 (fp64) [n, V], and what forward gave -> C [n, D]
  at::Tensor backward(const at::Tensor& d_logits, const at::Tensor& logits) const;
};

struct RmsNorm {
  at::Tensor weight;  ///< [D] fp32 (fp64)
  double eps = 1e-6;
  Kernels kernels = Kernels::own;

  using Saved = kernels::NormSaved;
  /// x residual [N, D] -> C [N, D]
  at::Tensor forward(const at::Tensor& x, at::ScalarType dtype, Saved* saved) const;
  /// dx += gradient through the norm
  void backward(const at::Tensor& dy, const Saved& saved, at::Tensor& dx) const;
  kernels::NormWeights weights() const { return {weight, {}, eps}; }
};

struct LayerNorm {
  at::Tensor weight, bias;  ///< [D] fp32 (fp64)
  double eps = 1e-5;
  Kernels kernels = Kernels::own;

  using Saved = kernels::NormSaved;
  /// x residual [N, D] -> [N, D] in `dtype`: C, or the residual's type where the norm's output goes on as the residual stream.
  at::Tensor forward(const at::Tensor& x, at::ScalarType dtype, Saved* saved) const;
  /// dx += gradient through the norm
  void backward(const at::Tensor& dy, const Saved& saved, at::Tensor& dx) const;
  /// The same by itself, [N, D] of the residual's type: where the stream does not go past the norm.
  at::Tensor backward(const at::Tensor& dy, const Saved& saved) const;
  kernels::NormWeights weights() const { return {weight, bias, eps}; }
};

/// What self-attention needs to know of a batch, the same in every layer.
struct AttentionPlan {
  std::vector<kernels::AttentionSpan> spans;
  kernels::AttentionOptions options;
  kernels::RopeAngles angles;                  ///< undefined: no rotation
  kernels::Dropout dropout;                    ///< of the probabilities
  at::Tensor wanted;                           ///< int64 [n] the queries whose answers are asked for; undefined: all
  at::Tensor position_keys, position_queries;  ///< as kernels::DisentangledInputs has them; both undefined: attention as usual

  bool disentangled() const { return position_keys.defined() || position_queries.defined(); }
};

/// Norms of queries and keys before they are rotated, each with a weight [K], for one head after the other (Qwen3, Gemma 3), or
/// of all heads' width, for all at once (OLMo 2).
struct QueryKeyNorm {
  RmsNorm query, key;
};

/// Grouped self-attention with fused Q, K, V.
struct SelfAttention {
  kernels::FrozenLinear qkv;  ///< [(H + 2 Hkv) K, D]: rows of Q, then K, then V
  kernels::FrozenLinear out;  ///< [D, H K]
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
  std::optional<QueryKeyNorm> norm{};

  struct Saved {
    at::Tensor qkv, lse;
    RmsNorm::Saved query_norm{}, key_norm{};
  };
  /// What the heads read, x C [N, D] -> C [N, H K], of wanted queries [n, H K]; `out` is still to be applied.
  at::Tensor attend(const at::Tensor& x, const AttentionPlan& plan, Saved* saved) const;
  /// d C [N, D], of wanted queries [n, D], of what `out` gave -> dx C [N, D]
  at::Tensor backward(const at::Tensor& d, const AttentionPlan& plan, const Saved& saved) const {
    return qkv.backward_input(backward_heads(d, plan, saved));
  }
  /// The same up to what `qkv` gave, C [N, (H + 2 Hkv) K].
  at::Tensor backward_heads(const at::Tensor& d, const AttentionPlan& plan, const Saved& saved) const;
  /// attend over a cache: new keys and values go to `rows` of layer `layer`, spans point into the cache.
  at::Tensor extend(const at::Tensor& x, const AttentionPlan& plan, SlotCache& cache, size_t layer, const at::Tensor& rows) const;

 private:
  struct Views {
    at::Tensor q, k, v;  // [N, heads, K] views of qkv
  };
  Views split(const at::Tensor& fused) const;
  at::Tensor project(const at::Tensor& x, const AttentionPlan& plan, Saved* saved) const;
  void rotate(const at::Tensor& fused, const AttentionPlan& plan, bool inverse) const;
};

/// Attention of decoder tokens to the encoder's output, in either of two orders of the same products.
/// Projected: every token of the memory gets a key W_K x and a value W_V x, as everywhere.
/// Absorbed: the query takes over W_K and the result W_V, since q . (W_K x) = (W_K^T q) . x and sum p (W_V x) = W_V (sum p x).
/// That costs H D a query and token in place of 2 K H D a token, so it is for short targets, and keeps nothing a memory token.
struct CrossAttention {
  kernels::FrozenLinear q;    ///< [H K, D]
  kernels::FrozenLinear kv;   ///< [2 H K, D]: rows of K, then V
  kernels::FrozenLinear out;  ///< [D, H K]
  int64_t heads = 0, head_dim = 0;

  /// The encoder's output: as all layers share it, and with `kv` as one layer reads it.
  struct Memory {
    at::Tensor hidden;                                         ///< C [Ns, D]
    std::shared_ptr<const kernels::AttentionMemory> absorbed;  ///< hidden, made ready; null: projected
    at::Tensor kv{};                                           ///< projected: its keys and values [Ns, 2 H K]
  };
  struct Saved {
    Memory memory;
    at::Tensor q;  ///< [Nt, H K]; absorbed: W_K^T q [Nt, H D]
    at::Tensor lse;
  };
  /// Whether targets of up to `longest` tokens are cheaper absorbed. On a GPU they never are: heads of D do not suit it.
  bool absorbs(int64_t longest) const { return kv.device().is_cpu() && 4 * longest <= head_dim; }
  /// Of an encoder's output C [Ns, D], for all layers.
  Memory shared_memory(const at::Tensor& hidden, const Ragged& tokens, bool absorbed) const;
  /// The same as this layer reads it.
  Memory own_memory(const Memory& shared) const;
  /// What the heads read, x C [Nt, D] -> C [Nt, H K]; `out` is still to be applied. memory: this layer's own.
  at::Tensor attend(const at::Tensor& x, const Memory& memory, const AttentionPlan& plan, Saved* saved) const;
  /// The gradient of what `q` gave, C [Nt, H K]; adds the memory's to d_memory (residual type) [Ns, D].
  at::Tensor backward_queries(const at::Tensor& d, const AttentionPlan& plan, const Saved& saved, at::Tensor& d_memory) const;
  /// Returns dx C [Nt, D] in its place.
  at::Tensor backward(const at::Tensor& d, const AttentionPlan& plan, const Saved& saved, at::Tensor& d_memory) const {
    return q.backward_input(backward_queries(d, plan, saved, d_memory));
  }

 private:
  kernels::HeadRows key_rows() const { return {0, heads, head_dim}; }
  kernels::HeadRows value_rows() const { return {heads * head_dim, heads, head_dim}; }
  at::Tensor forward_projected(const at::Tensor& queries, const AttentionPlan& plan, Saved& saved) const;
  at::Tensor forward_absorbed(const at::Tensor& queries, const AttentionPlan& plan, Saved& saved) const;
  at::Tensor backward_projected(const at::Tensor& d, const AttentionPlan& plan, const Saved& saved, at::Tensor& d_memory) const;
  at::Tensor backward_absorbed(const at::Tensor& d, const AttentionPlan& plan, const Saved& saved, at::Tensor& d_memory) const;
};

/// Its last linear, like attention's, is applied by the block, together with the residual that it adds to.
/// wo(dropout(f(wi x))), or gated (Shazeer 2020): wo(dropout(f(gate x) * up x)).
struct FeedForward {
  kernels::FrozenLinear wi;  ///< [F, D]; gated: [2F, D], rows of the gate, then of the other factor
  kernels::FrozenLinear wo;  ///< [D, F]
  kernels::Activation activation = kernels::Activation::relu;
  bool gated = false;

  struct Saved {
    at::Tensor kept;  ///< relu: one bit a unit; else wi x, or what FrozenLinear.forward_units keeps in its place
  };
  /// What goes into wo: x C [N, D] -> C [N, F].
  at::Tensor units(const at::Tensor& x, const kernels::Dropout& dropout, Saved* saved) const;
  /// d C [N, D], of what wo gave -> dx C [N, D]
  at::Tensor backward(const at::Tensor& d, const kernels::Dropout& dropout, const Saved& saved) const {
    return wi.backward_input(backward_units(d, dropout, saved));
  }
  /// The same up to what `wi` gave.
  at::Tensor backward_units(const at::Tensor& d, const kernels::Dropout& dropout, const Saved& saved) const;

 private:
  kernels::Units form() const { return {activation, gated}; }
};

/// rows [n, D] in their places (int64 [n]) among `count` rows, the others 0; as they are where places is undefined.
at::Tensor scatter_rows(const at::Tensor& rows, const at::Tensor& places, int64_t count);
/// The rows in these places; as they are where places is undefined.
at::Tensor gather_rows(const at::Tensor& rows, const at::Tensor& places);

/// A residual stream on its way through a stack of blocks.
struct ResidualStream {
  at::Tensor h;    ///< residual [N, D]
  at::Tensor x{};  ///< C [N, D]: what the next branch reads of it; undefined: not made yet
};

/// The norm that reads the stream next, and where what its backward needs goes; null: none, or not by a norm.
template <class Norm>
struct NextNorm {
  const Norm* norm = nullptr;
  typename Norm::Saved* saved = nullptr;
};

/// A branch's last linear and the norm behind it: h + dropout(out(units)), which `norm` makes ready for the next branch, or, of a
/// norm behind, both normalises and makes ready. The stream is taken over. `saved` may be null.
template <class Norm>
ResidualStream add_and_norm(const kernels::FrozenLinear& out, ResidualStream stream, at::Tensor units,
                            const kernels::Dropout& dropout, const Norm& norm, kernels::NormPlace place,
                            typename Norm::Saved* saved);

/// A norm of the stream on the way back, and the dropout at the end of the branch before it; null: there is no such branch.
template <class Norm>
struct StreamNorm {
  const Norm& norm;
  kernels::NormPlace place;
  const typename Norm::Saved& saved;
  const kernels::Dropout* dropout;
};

/// From dy, the gradient of what `in` gave, the first linear behind a norm, and d, the stream's there: d becomes the stream's
/// gradient before the norm. Returns it through the dropout, in the linear's type; nothing where there is no branch.
template <class Norm>
at::Tensor norm_backward(const kernels::FrozenLinear& in, const at::Tensor& dy, const StreamNorm<Norm>& norm, at::Tensor& d);
/// The same from d alone, of a norm behind, in place.
template <class Norm>
at::Tensor norm_backward(const StreamNorm<Norm>& norm, at::ScalarType dtype, at::Tensor& d);
/// d += in.backward_input(dy)
void add_backward(const kernels::FrozenLinear& in, const at::Tensor& dy, at::Tensor& d);

}  // namespace dept::nn
