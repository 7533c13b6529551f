// The images of a run's rows: where their visual tokens come from, by --visual, and what is read of them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "dept/adapter/adapter_file.h"
#include "dept/data/batch.h"
#include "dept/options.h"
#include "dept/task.h"
#include "dept/tensor/context.h"
#include "dept/vision/visual_source.h"

namespace dept {

/// Whether the options ask for images at all: --visual, but for none.
bool sees_images(const ImageOptions& options);

/// Whether --visual names a CLIP model that is yet to be fetched from the hub.
bool visual_is_on_hub(const ImageOptions& options);

/// Throws usage or io for a --visual that cannot be, as far as its name and the disk tell.
void check_visual(const ImageOptions& options);

/// The source under a name that holds in any working folder.
std::string lasting_visual(const std::string& visual);

class VisualInput {
 public:
  /// Opens what --visual names. Throws usage, io or bad_input.
  VisualInput(const ImageOptions& options, const ModelContext& context);
  /// Another source, of pictures in `folder` or of names.
  VisualInput(std::unique_ptr<const VisualSource> source, bool of_pictures, std::string folder = "");

  /// T, of each image.
  int64_t tokens() const { return source_->tokens(); }
  /// C, of each of them.
  int64_t channels() const { return source_->channels(); }

  /// What a row's image is called: a picture's path, or a name in a file of features (of a picture's name what stands before its
  /// extension). Throws bad_input naming file and row for a row without an image, io where the picture is not there.
  std::string name_of(const TextExample& row) const;
  /// The same of an image that is named at `where`, beside the file that `named_in` is ("" none).
  std::string name_of(const std::string& image, const std::string& named_in, const std::string& where) const;

  /// The visual tokens of the examples' images, fp32 [their tokens, C]. Throws io or bad_input naming the image.
  at::Tensor read(std::span<const Example> examples) const;

  /// Reads the first images, 10,000 pictures or 1,000 of a file of features: one that cannot be used is found before the model is
  /// loaded. Throws as read.
  void check(std::span<const Example> examples) const;

  /// Throws bad_input where an adapter was trained on other tokens.
  void check_fit(const VisualConfig& config) const;

 private:
  std::vector<at::Tensor> computed(const std::vector<std::string>& images) const;

  std::unique_ptr<const VisualSource> source_;
  bool pictures_ = true;   // images are files, else names
  bool computes_ = false;  // a model computes the tokens, which are kept therefore
  std::string folder_;
  mutable std::mutex mutex_;
  mutable std::unordered_map<std::string, at::Tensor> tokens_;
  mutable size_t bytes_ = 0;
};

}  // namespace dept
