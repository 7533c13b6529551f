#include "dept/train/visual_input.h"

#include <ATen/ops/cat.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <unordered_set>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/tasks/task.h"
#include "dept/train/model_source.h"
#include "dept/vision/image.h"

namespace dept {
namespace {

constexpr std::string_view patches_name = "patches";
constexpr std::string_view no_images = "none";
constexpr size_t most_kept = size_t{1} << 30;  // bytes of computed tokens

bool is_patches(const std::string& visual) {
  return visual == patches_name || visual.starts_with("patches:");
}

std::string lower_extension(const std::string& name) {
  std::string extension = fs::path(name).extension().string();
  for (char& c : extension)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return extension;
}

bool is_feature_file(const std::string& visual) {
  const std::string extension = lower_extension(visual);
  return extension == ".h5" || extension == ".hdf5" || extension == ".safetensors";
}

std::optional<int64_t> whole_number(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value > 0 ? std::optional(value) : std::nullopt;
}

// patches:SIZE:SIDE, patches:SIZE:HEIGHTxWIDTH
PatchOptions parse_patches(const std::string& visual) {
  const auto refuse = [&]() {
    fail(Code::usage, "--visual", "patches:SIZE:SIDE or patches:SIZE:HEIGHTxWIDTH in pixels, as in patches:16:64", quote(visual));
  };
  std::string_view rest = visual;
  rest.remove_prefix(std::min(rest.size(), patches_name.size() + 1));
  const size_t colon = rest.find(':');
  if (colon == std::string_view::npos) refuse();
  const std::string_view sides = rest.substr(colon + 1);
  const size_t cross = std::min(sides.find('x'), sides.size());
  const auto size = whole_number(rest.substr(0, colon)), height = whole_number(sides.substr(0, cross));
  const auto width = cross == sides.size() ? height : whole_number(sides.substr(cross + 1));
  if (!size || !height || !width) refuse();
  return {*size, *height, *width};
}

const std::string& place_of(const ImageOptions& options) {
  return options.visual_path.empty() ? options.visual : options.visual_path;
}

// As VL-Adapter pools them, where an image has more cells than that leaves.
std::unique_ptr<const VisualSource> open_features(const fs::path& file) {
  constexpr int64_t grid = 6;
  std::unique_ptr<const VisualSource> whole = feature_file(file, 0);
  return whole->tokens() > grid * grid ? feature_file(file, grid) : std::move(whole);
}

std::unique_ptr<const VisualSource> open_source(const ImageOptions& options, const ModelContext& context) {
  const std::string& place = place_of(options);
  if (is_patches(place)) return patches(parse_patches(place));
  if (is_feature_file(place)) return open_features(place);
  ModelContext on_cpu = context;  // what it gives is on the CPU, as a batch is
  on_cpu.device = c10::Device(c10::kCPU);
  on_cpu.storage = Storage::same;
  return clip_vision(place, on_cpu);
}

// Where the picture is: as it is named, else in the folder itself.
fs::path picture_in(const fs::path& folder, const fs::path& image) {
  std::error_code error;
  const fs::path named = image.is_absolute() ? image : folder / image, beside = folder / image.filename();
  return !fs::exists(named, error) && fs::exists(beside, error) ? beside : named;
}

}  // namespace

bool sees_images(const ImageOptions& options) {
  return !options.visual.empty() && options.visual != no_images;
}

bool visual_is_on_hub(const ImageOptions& options) {
  const std::string& place = place_of(options);
  return sees_images(options) && !is_patches(place) && !is_feature_file(place) && is_on_hub(place);
}

void check_visual(const ImageOptions& options) {
  const std::string& place = place_of(options);
  std::error_code error;
  if (!sees_images(options)) return;
  if (is_patches(place)) return void(patches(parse_patches(place)));
  if (is_feature_file(place)) return require_readable_file(place, "--visual");
  if (!visual_is_on_hub(options) && !fs::is_directory(place, error))
    fail(Code::io, "--visual", "patches:SIZE:SIDE, a CLIP model's folder, FILE.h5 or FILE.safetensors",
         quote(place) + ", which is not there");
}

std::string lasting_visual(const std::string& visual) {
  return is_patches(visual) ? visual : lasting_name(visual);
}

VisualInput::VisualInput(const ImageOptions& options, const ModelContext& context)
    : source_(open_source(options, context)),
      pictures_(!is_feature_file(place_of(options))),
      computes_(pictures_ && !is_patches(place_of(options))),
      folder_(options.image_folder) {}

VisualInput::VisualInput(std::unique_ptr<const VisualSource> source, bool of_pictures, std::string folder)
    : source_(std::move(source)), pictures_(of_pictures), folder_(std::move(folder)) {}

std::string VisualInput::name_of(const TextExample& row) const {
  const std::string where = row.origin == nullptr ? row.where_source() : RowPlace{row.origin->file, row.number}.text();
  return name_of(row.image, row.origin == nullptr ? "" : row.origin->file->name, where + ": image");
}

std::string VisualInput::name_of(const std::string& image, const std::string& named_in, const std::string& where) const {
  if (strip(image).empty()) fail(Code::bad_input, where, "an image, as the adapter sees images", "none");
  if (!pictures_) {
    const std::string extension = lower_extension(image);
    const bool picture = extension == ".jpg" || extension == ".jpeg" || extension == ".png";
    return picture ? fs::path(image).stem().string() : image;
  }
  const fs::path path = picture_in(folder_.empty() ? fs::path(named_in).parent_path() : fs::path(folder_), image);
  std::error_code error;
  if (!fs::exists(path, error))
    fail(Code::io, where,
         folder_.empty() ? "a file that is there (--image_folder names the images' folder)" : "a file that is there",
         quote(path.string(), 200));
  return path.string();
}

// The tokens of each image, computed once as far as there is room to keep them.
std::vector<at::Tensor> VisualInput::computed(const std::vector<std::string>& images) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> missing;
  for (const std::string& image : images)
    if (!tokens_.contains(image) && std::find(missing.begin(), missing.end(), image) == missing.end()) missing.push_back(image);
  const std::vector<at::Tensor> fresh = source_->read_all(missing);
  std::vector<at::Tensor> all;
  for (const std::string& image : images) {
    const auto found = std::find(missing.begin(), missing.end(), image);
    all.push_back(found == missing.end() ? tokens_.at(image) : fresh[static_cast<size_t>(found - missing.begin())]);
  }
  for (size_t i = 0; i < missing.size() && bytes_ + fresh[i].nbytes() <= most_kept; ++i) {
    tokens_.emplace(missing[i], fresh[i]);
    bytes_ += fresh[i].nbytes();
  }
  return all;
}

at::Tensor VisualInput::read(std::span<const Example> examples) const {
  std::vector<std::string> images;
  for (const Example& example : examples) images.push_back(example.image);
  return at::cat(computes_ ? computed(images) : source_->read_all(images));
}

void VisualInput::check(std::span<const Example> examples) const {
  const size_t most = pictures_ ? 10'000 : 1'000;
  std::unordered_set<std::string_view> seen;
  for (const Example& example : examples) {
    if (seen.size() == most) return;
    if (!seen.insert(example.image).second) continue;
    if (pictures_)
      read_image(example.image);
    else
      source_->read(example.image);
  }
}

void VisualInput::check_fit(const VisualConfig& config) const {
  if (config.tokens == tokens() && config.channels == channels()) return;
  fail(Code::bad_input, "--visual",
       str(config.tokens, " tokens of ", config.channels, " numbers an image, as the adapter was trained on"),
       str(tokens(), " of ", channels()));
}

}  // namespace dept
