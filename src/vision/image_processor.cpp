#include "dept/vision/image_processor.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "vision/decoders.h"

namespace dept {
namespace {

constexpr std::string_view clip_processors[] = {"CLIPImageProcessor", "CLIPImageProcessorFast", "CLIPImageProcessorPil",
                                                "CLIPFeatureExtractor"};
constexpr int64_t bicubic_resample = 3;  // PIL.Image.Resampling.BICUBIC

// What is read below, and what changes no number here: pictures are always RGB, channels always first.
constexpr std::string_view understood[] = {"do_resize",
                                           "size",
                                           "resample",
                                           "do_center_crop",
                                           "crop_size",
                                           "do_rescale",
                                           "rescale_factor",
                                           "do_normalize",
                                           "image_mean",
                                           "image_std",
                                           "do_convert_rgb",
                                           "processor_class",
                                           "data_format",
                                           "input_data_format",
                                           "image_processor_type",
                                           "return_tensors",
                                           "device",
                                           "disable_grouping",
                                           "feature_extractor_type",
                                           "_valid_processor_keys",
                                           "default_to_square"};

int64_t side(const Json& size, std::string_view key, const std::string& where) {
  const int64_t value = require<int64_t>(size, key, where);
  if (value < 1 || value > max_image_side) fail(Code::bad_input, str(where, ": ", key), str("1 to ", max_image_side), str(value));
  return value;
}

// {"shortest_edge": n}, {"height": h, "width": w}, or n: the shortest edge, of a crop both sides.
ImageProcessor::Size read_size(const Json& config, const std::string& key, bool is_crop, std::string_view file) {
  const std::string where = str(file, ": ", key);
  const Json& size = config.at(key);
  if (size.is_number_integer()) {
    const int64_t both = side(config, key, std::string(file));
    return is_crop ? ImageProcessor::Size{both, both, 0} : ImageProcessor::Size{0, 0, both};
  }
  if (size.is_object() && size.size() == 2 && size.contains("height") && size.contains("width"))
    return {side(size, "height", where), side(size, "width", where), 0};
  if (!is_crop && size.is_object() && size.size() == 1 && size.contains("shortest_edge"))
    return {0, 0, side(size, "shortest_edge", where)};
  fail(Code::bad_input, where, is_crop ? "height and width" : "shortest_edge, or height and width", quote(size.dump()));
}

std::array<double, 3> read_colours(const Json& config, const std::string& key, std::string_view where) {
  if (config.at(key).is_number()) {
    const double all = require<double>(config, key, where);
    return {all, all, all};
  }
  const auto values = require<std::vector<double>>(config, key, where);
  if (values.size() != 3) fail(Code::bad_input, str(where, ": ", key), "3 numbers", str(values.size()));
  return {values[0], values[1], values[2]};
}

bool given(const Json& config, std::string_view key) {
  const auto found = config.find(key);
  return found != config.end() && !found->is_null();
}

void check_kind(const Json& config, std::string_view where) {
  for (const std::string_view key : {"image_processor_type", "feature_extractor_type"}) {
    const auto kind = value_or<std::string>(config, key, std::string(clip_processors[0]), where);
    if (std::find(std::begin(clip_processors), std::end(clip_processors), kind) == std::end(clip_processors))
      fail(Code::bad_input, str(where, ": ", key), clip_processors[0], quote(kind));
  }
  const int64_t filter = value_or<int64_t>(config, "resample", bicubic_resample, where);
  if (filter != bicubic_resample) fail(Code::bad_input, str(where, ": resample"), "3 (bicubic)", str(filter));
  for (const auto& [key, value] : config.items()) {
    const bool known = std::find(std::begin(understood), std::end(understood), key) != std::end(understood);
    if (!known && !value.is_null() && value != Json(false))
      fail(Code::bad_input, str(where, ": ", quote(key)), "only what CLIP's image processor has", quote(value.dump()));
  }
}

int64_t scaled_edge(int64_t edge, int64_t target, int64_t shortest) {
  return static_cast<int64_t>(static_cast<double>(target * edge) / static_cast<double>(shortest));
}

}  // namespace

ImageProcessor::Size ImageProcessor::result(int64_t height, int64_t width) const {
  if (crop) return *crop;
  return resize ? resized(height, width) : Size{height, width, 0};
}

ImageProcessor::Size ImageProcessor::resized(int64_t height, int64_t width) const {
  if (resize->shortest_edge == 0) return *resize;
  const int64_t shortest = std::min(height, width), target = resize->shortest_edge;
  return {scaled_edge(height, target, shortest), scaled_edge(width, target, shortest), 0};
}

at::Tensor ImageProcessor::operator()(const Image& image) const {
  Image made;
  const Image* now = &image;
  if (resize) {
    const Size size = resized(image.height, image.width);
    made = resize_bicubic(image, size.height, size.width);
    now = &made;
  }
  if (crop) {
    made = centre_crop(*now, crop->height, crop->width);
    now = &made;
  }
  std::array<std::array<float, 256>, 3> numbers;
  for (size_t c = 0; c < 3; ++c)
    for (size_t value = 0; value < 256; ++value)
      numbers[c][value] = static_cast<float>((scale * static_cast<double>(value) - mean[c]) / deviation[c]);
  at::Tensor out = at::empty({3, now->height, now->width}, at::kFloat);
  float* to = out.mutable_data_ptr<float>();
  const auto pixels = static_cast<size_t>(now->height * now->width);
  for (size_t c = 0; c < 3; ++c)
    for (size_t i = 0; i < pixels; ++i) *to++ = numbers[c][now->rgb[3 * i + c]];
  return out;
}

ImageProcessor read_image_processor(const Json& config, std::string_view where) {
  if (!config.is_object()) fail(Code::bad_input, where, "an object", quote(config.dump()));
  check_kind(config, where);
  ImageProcessor made;
  if (given(config, "size")) made.resize = read_size(config, "size", false, where);
  if (!value_or<bool>(config, "do_resize", true, where)) made.resize.reset();
  if (given(config, "crop_size")) made.crop = read_size(config, "crop_size", true, where);
  if (!value_or<bool>(config, "do_center_crop", true, where)) made.crop.reset();
  made.scale =
      value_or<bool>(config, "do_rescale", true, where) ? value_or<double>(config, "rescale_factor", made.scale, where) : 1;
  if (!value_or<bool>(config, "do_normalize", true, where)) return made;
  made.mean = {0.48145466, 0.4578275, 0.40821073};  // CLIP's own (Radford et al. 2021)
  made.deviation = {0.26862954, 0.26130258, 0.27577711};
  if (given(config, "image_mean")) made.mean = read_colours(config, "image_mean", where);
  if (given(config, "image_std")) made.deviation = read_colours(config, "image_std", where);
  for (const double deviation : made.deviation)
    if (deviation == 0) fail(Code::bad_input, str(where, ": image_std"), "numbers other than 0", "0");
  return made;
}

ImageProcessor read_image_processor(const fs::path& folder) {
  const fs::path own = folder / "preprocessor_config.json", whole = folder / "processor_config.json";
  if (fs::exists(own) || !fs::exists(whole)) return read_image_processor(read_json(own), own.string());
  const Json config = read_json(whole);
  if (!config.is_object() || !config.contains("image_processor"))
    fail(Code::bad_input, whole.string(), "an image_processor", "none");
  return read_image_processor(config["image_processor"], whole.string() + ": image_processor");
}

}  // namespace dept
