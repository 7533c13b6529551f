// The classification head that trains with the prompt, as transformers' *ForSequenceClassification build it: which hidden states
// of a text are pooled, the logits of its labels, the loss, and the explicit backward of each.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dept/adapter/parameters.h"
#include "dept/adapter/prompt_layout.h"
#include "dept/base/file.h"
#include "dept/kernels/dropout.h"
#include "dept/models/backbone.h"
#include "dept/tensor/context.h"
#include "dept/tensor/ragged.h"

namespace dept {

/// Which hidden states stand for a text.
enum class Pooling {
  first,  ///< index 0 of the sequence with the prompt in front: the prompt's first vector
  cls,    ///< the text's first token, [CLS]
  mean,   ///< the mean over the text's tokens, without the model's pooler, as sentence encoders take it
  last,   ///< the text's last token (decoder-only models)
};

/// "first", "cls", "mean" or "last", and back. Throws usage.
Pooling parse_pooling(std::string_view name);
std::string to_string(Pooling pooling);
/// first for encoders, last for decoder-only models.
Pooling default_pooling(Architecture architecture);
/// Throws usage for a pooling that the architecture does not have.
void check_pooling(Pooling pooling, Architecture architecture);

/// K stacked heads of one form, fp32 (fp64 in the reference), for C labels; C = 1 is regression.
struct HeadWeights {
  HeadForm form = HeadForm::none;
  at::Tensor dense, dense_bias;  ///< [K, D, D], [K, D] of a form with two linears, else undefined
  at::Tensor out, out_bias;      ///< [K, C, D], [K, C] (no bias in HeadForm::score)

  int64_t labels() const { return out.size(1); }
};

/// The tensors of a head with their names in adapter files and their shapes, without K: weights are matrices, biases vectors.
struct HeadTensor {
  const char* name;
  at::Tensor HeadWeights::*tensor;
  std::vector<int64_t> shape;
};
std::vector<HeadTensor> head_tensors(HeadForm form, int64_t labels, int64_t hidden);
/// The form of a head whose tensors, by their names in adapter files, `holds` says are there; none without one.
HeadForm head_form_of(const std::function<bool(const char* name)>& holds);
/// The name of the last matrix.
std::string head_output_name(HeadForm form);
/// What trains of a head, in that order; nothing of HeadForm::none.
std::vector<Parameter> head_parameters(const HeadWeights& weights);

/// A fresh head, K = 1: weights from N(0, deviation) in the order of head_tensors, biases zero.
HeadWeights init_head(HeadForm form, int64_t labels, int64_t hidden, double deviation, at::Generator generator);
/// The head that a model's checkpoint holds, K = 1, when it is of these shapes. Throws io or bad_input.
std::optional<HeadWeights> checkpoint_head(const fs::path& model, HeadForm form, int64_t labels, int64_t hidden);

/// A pooled state is the mean of some hidden states: token [n] (int64, of the stream with the prompt) counts with weight
/// share [n] (fp64) in the state of sequence [n]. All are on the CPU, as the batch is.
struct PooledTokens {
  at::Tensor token;
  std::vector<int64_t> sequence;
  at::Tensor share;
};

/// `text`: the batch without its prompts; `layout`: where its tokens stand behind them.
PooledTokens pooled_tokens(Pooling pooling, const Ragged& text, const PromptLayout& layout);
/// hidden [N, D] of any compute type -> [B, D] in `dtype`.
at::Tensor pool(const PooledTokens& pooled, const at::Tensor& hidden, int64_t batch, at::ScalarType dtype);
/// d [B, D] -> gradient of hidden, [tokens, D].
at::Tensor pool_backward(const PooledTokens& pooled, const at::Tensor& d, int64_t tokens);

/// What head_forward keeps for backward.
struct HeadSaved {
  at::Tensor x, inner, units, dropped;  ///< inner: what the first of two linears gave, units: what stands behind it
  std::optional<kernels::Activation> unit;
  kernels::Dropout input_dropout, unit_dropout;  ///< of each sequence's row
  Kernels kernels = Kernels::own;
};

/// x [B, D] of the weights' dtype, one row a sequence of `text` -> logits [B, C]:
///   score       W x
///   classifier  W dropout(x) + b
///   the others  W dropout(unit(W' input_dropout(x) + b')) + b
/// Each sequence uses the head of its config; the rules' dropout is on in training. `saved` null: nothing is kept.
at::Tensor head_forward(const Call& call, const HeadWeights& weights, const Ragged& text, const HeadRules& rules,
                        const at::Tensor& x, HeadSaved* saved, Kernels kernels = Kernels::own);

struct HeadGradients {
  Gradients parameters;  ///< in the order of head_parameters
  at::Tensor x;          ///< [B, D]
};
HeadGradients head_backward(const HeadWeights& weights, const Ragged& text, const HeadSaved& saved, const at::Tensor& d_logits);

/// Each example's loss [B], where the logits are: cross-entropy, with smoothing, of the label `values` [B] (fp64 on the CPU, its
/// index); for C = 1 the squared distance to it. `class_weights` [C] (fp64 on the CPU; undefined: all 1) as
/// torch.nn.CrossEntropyLoss(weight, reduction="none") has them. With `d_logits` also the gradient of the sum, [B, C]. Throws
/// bad_input for a label outside the head.
at::Tensor head_loss(const at::Tensor& logits, const at::Tensor& values, at::Tensor* d_logits = nullptr, double smoothing = 0,
                     const at::Tensor& class_weights = {}, Kernels kernels = Kernels::own);

/// What each example counts in a mean over losses, fp64 [B]: its class's weight, or 1.
at::Tensor example_weights(const at::Tensor& values, const at::Tensor& class_weights);

}  // namespace dept
