// Visual tokens against transformers' CLIPVisionModel and PyTorch's pooling (make/vision.py).
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/stack.h>
#include <gmock/gmock.h>

#include "dept/base/json.h"
#include "dept/base/text.h"
#include "dept/vision/visual_source.h"
#include "parity/vision/support.h"
#include "unit/base/scratch.h"

namespace dept::parity {
namespace {

using testing::HasSubstr;

ModelContext vision_context(c10::ScalarType compute, Kernels kernels = Kernels::own) {
  ModelContext context;
  context.compute = compute;
  context.kernels = kernels;
  return context;
}

std::vector<std::string> golden_images() {
  std::vector<std::string> paths;
  for (const char* name : {"colour.jpg", "rgb.png", "palette.png"}) paths.push_back((vision_data("images") / name).string());
  return paths;
}

double error_in_2_norm(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).norm() / b.norm()).item<double>();
}

class Clip : public testing::TestWithParam<std::string> {};

TEST_P(Clip, EqualsTransformers) {
  const auto golden = open_safetensors(vision_data("clip.golden.safetensors"));
  const at::Tensor expected = golden->read(GetParam());
  const double half_of_transformers = golden->read(GetParam() + " bf16").item<double>();
  struct Way {
    c10::ScalarType compute;
    Kernels kernels;
    double allowed;
  };
  for (const Way& way :
       {Way{at::kFloat, Kernels::own, 1e-5}, Way{at::kFloat, Kernels::plain, 1e-5}, Way{at::kDouble, Kernels::own, 1e-5},
        Way{at::kBFloat16, Kernels::own, half_of_transformers}, Way{at::kBFloat16, Kernels::plain, half_of_transformers}}) {
    const auto source = clip_vision(vision_data(GetParam()), vision_context(way.compute, way.kernels), true);
    const at::Tensor tokens = at::stack(source->read_all(golden_images()));
    EXPECT_EQ(tokens.scalar_type(), at::kFloat);
    ASSERT_EQ(tokens.sizes(), expected.sizes());
    EXPECT_EQ(source->tokens(), expected.size(1));
    EXPECT_EQ(source->channels(), expected.size(2));
    EXPECT_LE(error_in_2_norm(tokens, expected), way.allowed) << dtype_name(way.compute);
  }
}

TEST_P(Clip, WithoutTheClassTokenGivesThePatchesAlone) {
  const at::Tensor expected = open_safetensors(vision_data("clip.golden.safetensors"))->read(GetParam());
  const auto source = clip_vision(vision_data(GetParam()), vision_context(at::kFloat));
  EXPECT_EQ(source->tokens(), expected.size(1) - 1);
  const at::Tensor one = source->read(golden_images()[1]);
  EXPECT_LE(error_in_2_norm(one, expected[1].narrow(0, 1, source->tokens())), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Both, Clip, testing::Values("clip", "clip_whole"));

TEST(FeatureFiles, EqualPyTorchsPooling) {
  const auto golden = open_safetensors(vision_data("features.golden.safetensors"));
  for (const char* name : {"features.h5", "features.safetensors"}) {
    const auto pooled = feature_file(vision_data(name)), smaller = feature_file(vision_data(name), 4),
               whole = feature_file(vision_data(name), 0);
    EXPECT_EQ(pooled->tokens(), 36);
    EXPECT_EQ(whole->tokens(), 49);
    EXPECT_EQ(pooled->channels(), 3);
    size_t images = 0;
    for (const TensorInfo& info : golden->tensors()) {
      if (info.name.find(' ') != std::string::npos) continue;
      EXPECT_TRUE(at::equal(pooled->read(info.name), golden->read(info.name))) << name << ' ' << info.name;
      EXPECT_TRUE(at::equal(smaller->read(info.name), golden->read(info.name + " 4"))) << name << ' ' << info.name;
      EXPECT_TRUE(at::equal(whole->read(info.name), golden->read(info.name + " 0"))) << name << ' ' << info.name;
      ++images;
    }
    EXPECT_EQ(images, 20u);
  }
}

TEST(FeatureFiles, NameAnImageThatTheyDoNotHave) {
  for (const char* name : {"features.h5", "features.safetensors"}) {
    const auto source = feature_file(vision_data(name));
    for (const char* id : {"COCO_000000000001", "", "a", "zzz", "/", "COCO_000000000000/"})
      EXPECT_THAT(error_of(Code::bad_input, [&] { source->read(id); }),
                  testing::AllOf(HasSubstr(name), HasSubstr(quote(id)), HasSubstr("expected features of the image")))
          << id;
  }
}

// What libhdf5 writes and this reader does not take, by the words of the refusal.
TEST(FeatureFiles, RefuseTheRestOfHdf5) {
  const std::pair<const char*, const char*> refused[] = {
      {"latest", "expected superblock 0 or 1"},
      {"track_order", "expected object headers of version 1"},
      {"chunked", "received data in chunks"},
      {"gzip", "expected data without filters"},
      {"integers", "expected floating-point numbers"},
      {"big_endian", "expected floating-point numbers"},
      {"one_size", "expected features of the shape [cells, channels]"},
      {"scalar", "expected features of the shape [cells, channels]"},
      {"unwritten", "received a data set that was never written"},
      {"empty", "received an empty file"},
      {"group", "expected a data set"},
      {"elsewhere", "received data in other files"},
      {"soft", "received a soft one"},
      {"external", "expected"},
      {"loop", "expected a data set"},
      {"virtual", "expected"},
  };
  for (const auto& [name, words] : refused)
    EXPECT_THAT(error_of(Code::bad_input, [&] { feature_file(vision_data(str("odd/", name, ".h5")), 0); }), HasSubstr(words))
        << name;
  const auto source = feature_file(vision_data("odd/nan.h5"), 2);
  EXPECT_THAT(error_of(Code::bad_input, [&] { source->read("a"); }), HasSubstr("expected finite numbers"));
}

TEST(Patches, AreThePixelsInOrder) {
  const Image image = read_image(vision_data("images/rgb.png"));
  const auto source = patches({.size = 8, .height = 16, .width = 24});
  EXPECT_EQ(source->tokens(), 6);
  EXPECT_EQ(source->channels(), 192);
  const at::Tensor tokens = source->read(vision_data("images/rgb.png").string());
  ASSERT_EQ(tokens.sizes(), at::IntArrayRef({6, 192}));
  const Image small = resize_bicubic(image, 16, 24);
  for (int64_t y = 0; y < 16; ++y)
    for (int64_t x = 0; x < 24; ++x)
      for (int64_t c = 0; c < 3; ++c) {
        const double value = tokens[y / 8 * 3 + x / 8][(y % 8 * 8 + x % 8) * 3 + c].item<double>();
        ASSERT_NEAR(value, small.rgb[static_cast<size_t>(3 * (y * 24 + x) + c)] / 255.0 - 0.5, 1e-6);
      }
}

TEST(Patches, OfAnImageAsItIs) {
  const auto source = patches({.size = 1});
  EXPECT_EQ(source->tokens(), 0);
  EXPECT_EQ(source->read(vision_data("images/rgb.png").string()).size(0), 37 * 50);
  EXPECT_THAT(error_of(Code::bad_input, [&] { patches({.size = 2})->read(vision_data("images/rgb.png").string()); }),
              HasSubstr("multiples of the patches' 2, received 37 x 50"));
  for (const PatchOptions bad :
       {PatchOptions{0, 0, 0}, PatchOptions{-1, 0, 0}, PatchOptions{7, 16, 16}, PatchOptions{8, 16, 0}, PatchOptions{8, -8, -8}})
    error_of(Code::usage, [&] { patches(bad); });
}

}  // namespace
}  // namespace dept::parity
