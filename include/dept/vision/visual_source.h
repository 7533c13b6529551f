// What a language model sees of an image: a row of numbers for each visual token, from features that were made before, from a
// frozen vision model, or from the pixels themselves. Nothing here trains.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dept/base/file.h"
#include "dept/tensor/context.h"

namespace dept {

/// May be asked from several threads at once. The same images give the same bits; an image among others differs from the image
/// alone by rounding at most, and only where a model computes it.
class VisualSource {
 public:
  virtual ~VisualSource() = default;
  VisualSource(const VisualSource&) = delete;
  VisualSource& operator=(const VisualSource&) = delete;

  /// The visual tokens of an image, fp32 [n, channels()] on the CPU, contiguous and finite. `image` is the id of a feature file,
  /// else the path of a JPEG or PNG file. Throws bad_input or io, naming the image.
  virtual at::Tensor read(const std::string& image) const = 0;
  /// Several images, in the given order; quicker than one by one where a model computes them.
  virtual std::vector<at::Tensor> read_all(std::span<const std::string> images) const;

  /// Numbers a token.
  virtual int64_t channels() const = 0;
  /// Tokens an image; 0 where each image has its own number of them (patches without a fixed size).
  virtual int64_t tokens() const = 0;

 protected:
  VisualSource() = default;
};

/// Features made before, as VL-Adapter's (Sung et al. 2022): a square grid of cells, row by row, for each image. `path` is
///   .h5, .hdf5     data sets "ID/features" of floating-point numbers [cells, channels] (dept/tensorio/hdf5.h says which files)
///   .safetensors   tensors "ID" or "ID/features" of any floating-point type, of that shape
/// of which AdaptiveMaxPool2d(grid, grid) makes grid * grid tokens, as there are already or fewer; grid 0 takes the cells as they
/// are. All images of a file have the same shape, which the first one gives. Throws io or bad_input for a file that is neither,
/// bad_input for an image without features, with features of another shape, NaN or infinity.
std::unique_ptr<VisualSource> feature_file(const fs::path& path, int64_t grid = 6);

/// transformers' CLIPVisionModel from a folder with config.json (of CLIPVisionModel or of the whole CLIPModel), its weights and
/// preprocessor_config.json: the last hidden states of an image's patches, row by row, without the model's final norm, as
/// last_hidden_state has them; with `class_token` also that of the class token, in front. Computed as `context` says, given in
/// fp32. Throws io or bad_input for a folder that is not such a model or lacks weights.
std::unique_ptr<VisualSource> clip_vision(const fs::path& folder, const ModelContext& context, bool class_token = false);

/// The pixels themselves: the image is cut into squares, row by row; a token's values are value / 255 - 0.5 of its pixels, in the
/// order (y, x, colour), 3 * size * size of them.
struct PatchOptions {
  int64_t size = 16;              ///< side of a square
  int64_t height = 0, width = 0;  ///< what every image is resized to (bicubic) where it has another size; 0: it stays as it is
};
/// Throws usage for a size that is no positive divisor of height and width; reading throws bad_input for an image that is not
/// resized and whose sides are no multiples of the size.
std::unique_ptr<VisualSource> patches(const PatchOptions& options);

}  // namespace dept
