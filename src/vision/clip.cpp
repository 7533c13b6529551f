#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <cmath>

#include "dept/base/error.h"
#include "dept/base/json.h"
#include "dept/base/text.h"
#include "dept/nn/modules.h"
#include "dept/tensorio/tensor_source.h"
#include "dept/vision/image_processor.h"
#include "dept/vision/visual_source.h"

namespace dept {
namespace {

using at::Tensor;

constexpr int64_t images_a_pass = 16;  // as many as go through the model at once

// CLIPVisionConfig of transformers, with its defaults.
struct ClipConfig {
  int64_t hidden, intermediate, layers, heads, image_size, patch;
  double eps;
  bool quick_gelu;  // x sigmoid(1.702 x), which OpenAI's models have; else GELU

  int64_t patches() const { return (image_size / patch) * (image_size / patch); }
};

int64_t clip_size(const Json& config, std::string_view key, int64_t absent, const std::string& where) {
  constexpr int64_t largest = int64_t{1} << 20;
  const auto value = value_or<int64_t>(config, key, absent, where);
  if (value < 1 || value > largest) fail(Code::bad_input, str(where, ": ", key), str("1 to ", largest), str(value));
  return value;
}

// config.json is that of the vision model, or of the whole CLIP model, of which vision_config is a part.
Json vision_config(const Json& config, std::string& where) {
  const auto type = require<std::string>(config, "model_type", where);
  if (type == "clip_vision_model") return config;
  if (type != "clip") fail(Code::bad_input, where + ": model_type", "clip_vision_model or clip", quote(type));
  if (!config.contains("vision_config") || !config["vision_config"].is_object())
    fail(Code::bad_input, where + ": vision_config", "an object", "none");
  where += ": vision_config";
  return config["vision_config"];
}

ClipConfig read_clip_config(const Json& whole, std::string where) {
  const Json config = vision_config(whole, where);
  ClipConfig c{};
  c.hidden = clip_size(config, "hidden_size", 768, where);
  c.intermediate = clip_size(config, "intermediate_size", 3072, where);
  c.layers = clip_size(config, "num_hidden_layers", 12, where);
  c.heads = clip_size(config, "num_attention_heads", 12, where);
  c.image_size = clip_size(config, "image_size", 224, where);
  c.patch = clip_size(config, "patch_size", 32, where);
  c.eps = value_or<double>(config, "layer_norm_eps", 1e-5, where);
  const auto activation = value_or<std::string>(config, "hidden_act", "quick_gelu", where);
  c.quick_gelu = activation == "quick_gelu";
  if (!c.quick_gelu && activation != "gelu")
    fail(Code::bad_input, where + ": hidden_act", "quick_gelu or gelu", quote(activation));
  const auto colours = value_or<int64_t>(config, "num_channels", 3, where);
  if (colours != 3) fail(Code::bad_input, where + ": num_channels", "3", str(colours));
  if (c.hidden % c.heads != 0)
    fail(Code::bad_input, where + ": num_attention_heads", str("a divisor of hidden_size, ", c.hidden), str(c.heads));
  if (c.patch > c.image_size || c.image_size > max_image_side)
    fail(Code::bad_input, where + ": image_size", str(c.patch, " (patch_size) to ", max_image_side), str(c.image_size));
  if (!(c.eps > 0)) fail(Code::bad_input, where + ": layer_norm_eps", "a number above 0", str(c.eps));
  return c;
}

// h += attention(norm(h)); h += mlp(norm(h))
struct ClipBlock {
  nn::LayerNorm attention_norm, mlp_norm;
  nn::SelfAttention attention;
  kernels::FrozenLinear up, down;
};

// Names of tensors with or without the prefix that transformers puts in front.
class ClipLoader {
 public:
  ClipLoader(const fs::path& folder, const ModelContext& context) : weights_(open_weights(folder)), context_(context) {
    for (const TensorInfo& info : weights_->tensors())
      if (info.name == str("vision_model.", class_name)) prefix_ = "vision_model.";
    loader_ = nn::WeightLoader([weights = weights_](const std::string& name, at::IntArrayRef shape, at::ScalarType dtype) {
      return weights->read(name, shape, dtype);
    });
    loader_.use(context);
  }

  Tensor table(const std::string& name, at::IntArrayRef shape) const {
    return loader_(prefix_ + name, shape, context_.residual());
  }
  nn::LayerNorm norm(const std::string& name, int64_t width, double eps) const {
    return {table(name + ".weight", {width}), table(name + ".bias", {width}), eps, context_.kernels};
  }
  kernels::FrozenLinear linear(std::vector<nn::LinearSpec::Part> parts, int64_t in) const {
    for (nn::LinearSpec::Part& part : parts) part.name = prefix_ + part.name;
    return loader_.linear({.parts = std::move(parts), .in = in, .bias = true}, context_.compute);
  }
  // The convolution that embeds patches: its stride is its size, so it is a linear layer of each patch's values (colour, y, x).
  kernels::FrozenLinear patch_embedding(const ClipConfig& c) const {
    const Tensor weight =
        loader_(prefix_ + "embeddings.patch_embedding.weight", {c.hidden, 3, c.patch, c.patch}, context_.compute);
    return kernels::FrozenLinear(kernels::FrozenMatrix(weight.reshape({c.hidden, -1}), context_.kernels));
  }

  static constexpr std::string_view class_name = "embeddings.class_embedding";

 private:
  std::shared_ptr<const TensorSource> weights_;
  const ModelContext& context_;
  nn::WeightLoader loader_;
  std::string prefix_;
};

ClipBlock load_clip_block(const ClipLoader& loader, const ClipConfig& c, const std::string& layer) {
  const int64_t d = c.hidden;
  ClipBlock block;
  block.attention_norm = loader.norm(layer + "layer_norm1", d, c.eps);
  const auto part = [&](std::string_view name) { return nn::LinearSpec::Part{str(layer, "self_attn.", name), d}; };
  block.attention = {loader.linear({part("q_proj"), part("k_proj"), part("v_proj")}, d), loader.linear({part("out_proj")}, d),
                     c.heads, c.heads, d / c.heads};
  block.mlp_norm = loader.norm(layer + "layer_norm2", d, c.eps);
  block.up = loader.linear({{layer + "mlp.fc1", c.intermediate}}, d);
  block.down = loader.linear({{layer + "mlp.fc2", d}}, c.intermediate);
  return block;
}

// CLIP's ViT (Radford et al. 2021; Dosovitskiy et al. 2021).
class ClipVision : public VisualSource {
 public:
  ClipVision(const fs::path& folder, const ModelContext& context, bool class_token)
      : config_(read_clip_config(read_json(folder / "config.json"), (folder / "config.json").string())),
        context_(context),
        processor_(read_image_processor(folder)),
        class_token_(class_token) {
    const ClipLoader loader(folder, context_);
    class_ = loader.table(std::string(ClipLoader::class_name), {config_.hidden});
    positions_ = loader.table("embeddings.position_embedding.weight", {config_.patches() + 1, config_.hidden});
    patch_embedding_ = loader.patch_embedding(config_);
    first_norm_ = loader.norm("pre_layrnorm", config_.hidden, config_.eps);
    for (int64_t i = 0; i < config_.layers; ++i)
      blocks_.push_back(load_clip_block(loader, config_, str("encoder.layers.", i, ".")));
    check_processor(folder);
  }

  int64_t channels() const override { return config_.hidden; }
  int64_t tokens() const override { return config_.patches() + class_token_; }

  Tensor read(const std::string& image) const override { return read_all({&image, 1}).front(); }

  std::vector<Tensor> read_all(std::span<const std::string> images) const override {
    std::vector<Tensor> tokens;
    while (!images.empty()) {
      const auto now = images.first(std::min<size_t>(images.size(), images_a_pass));
      const Tensor hidden = forward(now).to(at::kFloat).to(at::kCPU);
      for (size_t i = 0; i < now.size(); ++i) tokens.push_back(of_image(hidden, static_cast<int64_t>(i), now[i]));
      images = images.subspan(now.size());
    }
    return tokens;
  }

 private:
  void check_processor(const fs::path& folder) const {
    const ImageProcessor::Size size = processor_.result(config_.image_size, config_.image_size);
    if ((!processor_.crop && (!processor_.resize || processor_.resize->shortest_edge > 0)) || size.height != config_.image_size ||
        size.width != config_.image_size)
      fail(Code::bad_input, (folder / "preprocessor_config.json").string(),
           str("images of one size, the model's ", config_.image_size, " x ", config_.image_size),
           str(size.height, " x ", size.width));
  }

  // [B * patches, 3 * P * P] in the compute type, each patch's values in the order (colour, y, x).
  Tensor patches_of(std::span<const std::string> images) const {
    const int64_t side = config_.image_size / config_.patch, p = config_.patch, used = side * p;
    std::vector<Tensor> all;
    for (const std::string& image : images)
      all.push_back(processor_(read_image(image))
                        .narrow(1, 0, used)
                        .narrow(2, 0, used)
                        .reshape({3, side, p, side, p})
                        .permute({1, 3, 0, 2, 4})
                        .reshape({side * side, -1}));
    return at::cat(all).to(context_.device).to(context_.compute);
  }

  // [B * (patches + 1), D] residual type: class token and patches, with positions, before the first norm.
  Tensor embed(std::span<const std::string> images) const {
    const auto count = static_cast<int64_t>(images.size());
    const Tensor patches = patch_embedding_.forward(patches_of(images)).to(context_.residual());
    const Tensor first = class_.view({1, 1, -1}).expand({count, 1, config_.hidden});
    return (at::cat({first, patches.view({count, config_.patches(), -1})}, 1) + positions_).view({-1, config_.hidden});
  }

  Tensor forward(std::span<const std::string> images) const {
    Ragged tokens;
    for (size_t i = 0; i < images.size(); ++i) tokens.append(config_.patches() + 1, static_cast<int64_t>(i));
    nn::AttentionPlan plan;
    plan.spans = kernels::self_attention_spans(tokens);
    plan.options.scale = 1 / std::sqrt(static_cast<double>(config_.hidden / config_.heads));
    Tensor h = first_norm_.forward(embed(images), context_.residual(), nullptr);
    for (const ClipBlock& block : blocks_) h = through(block, std::move(h), plan);
    return h.view({static_cast<int64_t>(images.size()), config_.patches() + 1, config_.hidden});
  }

  Tensor through(const ClipBlock& block, Tensor h, const nn::AttentionPlan& plan) const {
    Tensor attended = block.attention.attend(block.attention_norm.forward(h, context_.compute, nullptr), plan, nullptr);
    h = block.attention.out.add_forward(std::move(h), std::move(attended), {});
    const Tensor inner = block.up.forward(block.mlp_norm.forward(h, context_.compute, nullptr));
    return block.down.add_forward(std::move(h), activated(inner), {});
  }

  Tensor activated(const Tensor& x) const {
    constexpr double steepness = 1.702;
    if (config_.quick_gelu) return x * at::sigmoid(x * steepness);
    return kernels::activation(kernels::Activation::gelu, x, {}, context_.kernels);
  }

  Tensor of_image(const Tensor& hidden, int64_t i, const std::string& image) const {
    const Tensor own = hidden[i].narrow(0, class_token_ ? 0 : 1, tokens()).clone();
    if (!own.isfinite().all().item<bool>()) fail(Code::bad_input, image, "finite hidden states of the vision model", "others");
    return own;
  }

  ClipConfig config_;
  ModelContext context_;
  ImageProcessor processor_;
  bool class_token_;
  Tensor class_, positions_;
  kernels::FrozenLinear patch_embedding_;
  nn::LayerNorm first_norm_;
  std::vector<ClipBlock> blocks_;
};

}  // namespace

std::unique_ptr<VisualSource> clip_vision(const fs::path& folder, const ModelContext& context, bool class_token) {
  return std::make_unique<ClipVision>(folder, context, class_token);
}

}  // namespace dept
