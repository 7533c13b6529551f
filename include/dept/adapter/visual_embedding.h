// The trained embedding of visual tokens: what a VisualSource reads of an image becomes vectors that stand among a text's word
// embeddings. Forward and explicit backward.
#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dept/adapter/parameters.h"

namespace dept {

/// Of features f [n, C], token by token, with W f + b a linear layer C -> D:
///   clip_t5  RMSNorm(W f + b) + RMSNorm(W' 0 + b') + o + w   VL-Adapter's (Sung et al. 2022): 0 is the box (x1, x2, y1, y2,
///   area)
///            that a grid's cell has not, o the image's place among an example's, of which there is one, and w the frozen word
///            embedding of id V - 1 - i for an image's token i
///   linear   0.5 (W f + b + p[i])                            p [T, D] a vector for each of an image's T tokens
enum class VisualForm { none, clip_t5, linear };

/// "clip_t5" or "linear", and back. Throws usage.
VisualForm parse_visual_form(std::string_view name);
std::string to_string(VisualForm form);

struct VisualShape {
  int64_t tokens = 0;    ///< T
  int64_t channels = 0;  ///< C
  int64_t width = 0;     ///< D, of the model's embeddings
};

/// One embedding (K = 1, never stacked), fp32 (fp64 in the reference). What a form has not is undefined.
struct VisualWeights {
  VisualForm form = VisualForm::none;
  at::Tensor linear, bias;             ///< [1, D, C], [1, D]
  at::Tensor norm;                     ///< clip_t5: [1, D]
  at::Tensor box, box_bias, box_norm;  ///< clip_t5: [1, D, 5], [1, D], [1, D]
  at::Tensor order;                    ///< clip_t5: [1, 1, D]
  at::Tensor position;                 ///< linear: [1, T, D]

  int64_t channels() const { return linear.size(2); }
};

/// The tensors of a form with their names in adapter files and their shapes, without K.
struct VisualTensor {
  const char* name;
  at::Tensor VisualWeights::*tensor;
  std::vector<int64_t> shape;
};
std::vector<VisualTensor> visual_tensors(VisualForm form, const VisualShape& shape);
/// What trains, in that order; nothing of VisualForm::none.
std::vector<Parameter> visual_parameters(const VisualWeights& weights);

/// A fresh one: linear layers as torch.nn.Linear starts, norms 1, the image's place from N(0, 1) as torch.nn.Embedding, a token's
/// from N(0, 0.02).
VisualWeights init_visual(VisualForm form, const VisualShape& shape, at::Generator generator);

/// Visual tokens as the embedding takes them.
struct VisualInputs {
  at::Tensor features;  ///< [n, C] of the weights' dtype, where they are
  at::Tensor place;     ///< int64 [n] on the CPU: which of its image's tokens each is
  at::Tensor words;     ///< clip_t5: [n, D] word embeddings of V - 1 - place, likewise; else undefined
};

/// [n, D] of the weights' dtype. Throws bug for other shapes or dtypes.
at::Tensor visual_forward(const VisualWeights& weights, const VisualInputs& in);
/// From d [n, D], the gradients in the order of visual_parameters; sums over the tokens, in fp64 on the CPU.
Gradients visual_backward(const VisualWeights& weights, const VisualInputs& in, const at::Tensor& d);

}  // namespace dept
