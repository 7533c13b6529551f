// An adapter that works on the inputs of a frozen model: prompt tokens in front of a text, and a change of its word embeddings.
// Each method is one file beside src/adapter/dept.cpp; docs/methods.md shows how to add one.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "dept/adapter/parameters.h"
#include "dept/adapter/prompt_layout.h"
#include "dept/models/backbone.h"
#include "dept/tensor/context.h"

namespace dept {

struct Method;

/// The numbers that decide which tensors an adapter has. A method reads those that it needs.
struct AdapterShape {
  int64_t prompt_tokens = 0;  ///< M
  int64_t submodules = 1;     ///< 2: as many prompt tokens again in front of an encoder-decoder's decoder input
  int64_t width = 0;          ///< D, of the model's embeddings
  int64_t rank = 0;           ///< R
  int64_t max_length = 0;     ///< S, the rows of A
  int64_t hidden = 0;         ///< H, units of a network that makes the prompt
  double alpha = 0;           ///< of the scale of A·B
  double dropout = 0;         ///< of an offset's inner values, in training
  uint64_t seed = 0;          ///< of a frozen random matrix

  int64_t prompt_rows() const { return prompt_tokens * submodules; }
};

/// A text with its prompt in front.
struct AdaptedText {
  Stream stream;
  PromptLayout layout;
};

/// What a method keeps of a batch for the way back.
class AdapterSaved {
 public:
  virtual ~AdapterSaved() = default;
};

/// A batch as the backbone takes it.
struct AdaptedBatch {
  AdaptedText source;
  std::optional<AdaptedText> target;  ///< of an encoder-decoder
  std::unique_ptr<AdapterSaved> saved;
};

/// How an adapter is applied to a batch.
struct AdapterCall {
  Call call{};
  Kernels kernels = Kernels::own;
  bool share_prompt = false;  ///< the prompts stand once, as sequences in front of all sources
};

/// What an adapter amounts to at inference.
struct FoldedAdapter {
  at::Tensor prompt;  ///< [K, M * submodules, D]
  at::Tensor rows;    ///< [K, S, D] added to the word embeddings of a text by row; undefined where the method adds none
  at::Tensor table;   ///< [K, V, D] in place of the word embeddings; undefined where they stay
};

/// K stacked adapters of one shape; each sequence of a batch uses the one that its config names. fp32 (fp64 in the reference).
class InputAdapter {
 public:
  InputAdapter(const AdapterShape& shape, std::vector<Parameter> parameters)
      : shape_(shape), parameters_(std::move(parameters)) {}
  virtual ~InputAdapter() = default;
  InputAdapter(const InputAdapter&) = delete;
  InputAdapter& operator=(const InputAdapter&) = delete;

  /// That made it.
  const Method& method() const { return *method_; }
  const AdapterShape& shape() const { return shape_; }
  /// All that trains.
  const std::vector<Parameter>& parameters() const { return parameters_; }
  /// The value of one of them. Throws bug for an unknown name.
  const at::Tensor& parameter(std::string_view name) const;

  /// K.
  int64_t configs() const { return parameters_.front().value.size(0); }
  at::ScalarType dtype() const { return parameters_.front().value.scalar_type(); }
  at::Device device() const { return parameters_.front().value.device(); }
  int64_t prompt_tokens() const { return shape_.prompt_tokens; }
  /// Prompt tokens in front of an encoder-decoder's decoder input: M with two submodules, else 0.
  int64_t decoder_prompt_tokens() const { return shape_.prompt_rows() - shape_.prompt_tokens; }
  /// The most tokens that a text may have; 0 means no limit.
  virtual int64_t max_text() const { return 0; }

  /// Source texts [N, D] and, for an encoder-decoder, the decoder's input, with prompts in front; the source is changed as the
  /// method has it. Throws bad_input for a text that is too long, bug for other shapes or dtypes.
  AdaptedBatch apply(const AdapterCall& how, const Stream& source, const Stream* target) const;

  /// From the gradients of the streams that apply returned.
  Gradients backward(const AdaptedBatch& batch, const InputGradients& d) const;

  /// A decoder's input [N, D] with its own prompt in front.
  AdaptedText apply_to_target(const Stream& target) const;
  /// The prompts of both inputs, the source's first: [K, M * submodules, D].
  at::Tensor whole_prompt() const;
  /// What stands in front of a decoder's input in generation: [K, decoder_prompt_tokens, D].
  at::Tensor decoder_prompt() const;

  /// The adapter without what only training needs. `words` gives the model's word embeddings [V, D] to a method that asks.
  FoldedAdapter fold(const std::function<at::Tensor()>& words) const;

 protected:
  const at::Tensor& value(size_t parameter) const { return parameters_[parameter].value; }

  /// What a batch's forward pass keeps; null when nothing is needed.
  virtual std::unique_ptr<AdapterSaved> new_saved() const { return nullptr; }
  /// The prompt, [K, M * submodules, D].
  virtual at::Tensor prompt(AdapterSaved* saved) const = 0;
  /// The word embeddings [N, D] of source texts as the method changes them.
  virtual at::Tensor change(const AdapterCall&, const Ragged&, const at::Tensor& embeds, AdapterSaved*) const { return embeds; }
  /// Gradients of the parameters from those of prompt, which is fp64 on the CPU, and change. Each may be fp64, too.
  virtual Gradients gradients(const AdapterSaved* saved, const at::Tensor& d_prompt, const at::Tensor& d_text) const = 0;
  /// Rows or table of what change does.
  virtual void fold_change(const std::function<at::Tensor()>& words, FoldedAdapter& folded) const {}

 private:
  friend std::unique_ptr<InputAdapter> make_adapter(const Method& method, const AdapterShape& shape,
                                                    const std::vector<at::Tensor>& values);
  const Method* method_ = nullptr;
  AdapterShape shape_;
  std::vector<Parameter> parameters_;
};

}  // namespace dept
