// Files that are broken, cut, or made to take memory, and settings that this reader does not follow: one line each.
#include <gmock/gmock.h>
#include <zlib.h>

#include "dept/base/json.h"
#include "dept/base/memory.h"
#include "dept/vision/image.h"
#include "dept/vision/image_processor.h"
#include "dept/vision/visual_source.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

using testing::AllOf;
using testing::HasSubstr;

fs::path picture(const std::string& name) {
  return fs::path(DEPT_TEST_DATA) / "parity/data/vision/images" / name;
}

std::string big_endian(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
          static_cast<char>(value)};
}

std::string png_chunk(const std::string& label, const std::string& data) {
  const std::string body = label + data;
  const uLong sum = crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size()));
  return big_endian(static_cast<uint32_t>(data.size())) + body + big_endian(static_cast<uint32_t>(sum));
}

std::string png_of_size(uint32_t width, uint32_t height) {
  return "\x89PNG\r\n\x1a\n" + png_chunk("IHDR", big_endian(width) + big_endian(height) + std::string("\x08\x02\0\0\0", 5)) +
         png_chunk("IDAT", "x") + png_chunk("IEND", "");
}

std::string message_of(const std::string& bytes) {
  return error_of(Code::bad_input, [&] { decode_image(std::as_bytes(std::span(bytes)), "the image"); });
}

std::string one_line_with(const std::string& message) {
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  return message;
}

TEST(HostileImages, SizesAreCheckedBeforeAnythingIsAllocated) {
  const double before = peak_resident_memory();
  const std::string limits = "[the image] expected an image with sides of 1 to 65500 and at most 89478485 pixels, received ";
  EXPECT_EQ(message_of(png_of_size(100'000, 100'000)), limits + "100000 x 100000 (height x width)");
  EXPECT_EQ(message_of(png_of_size(0, 5)), limits + "5 x 0 (height x width)");
  EXPECT_EQ(message_of(png_of_size(5, 0)), limits + "0 x 5 (height x width)");
  EXPECT_EQ(message_of(png_of_size(0xFFFFFFFF, 0xFFFFFFFF)), limits + "4294967295 x 4294967295 (height x width)");
  EXPECT_EQ(message_of(png_of_size(65'000, 65'000)), limits + "65000 x 65000 (height x width)");
  EXPECT_LT(peak_resident_memory() - before, 64e6);
}

// The two bytes each of height and width stand behind the marker of the frame, its length and its precision.
std::string jpeg_of_size(uint16_t height, uint16_t width) {
  std::string bytes = read_file(picture("colour.jpg"));
  const size_t frame = bytes.find("\xFF\xC0");
  for (const auto& [at, value] : {std::pair{size_t{5}, height}, {size_t{7}, width}}) {
    bytes[frame + at] = static_cast<char>(value >> 8);
    bytes[frame + at + 1] = static_cast<char>(value);
  }
  return bytes;
}

TEST(HostileImages, JpegSizes) {
  EXPECT_THAT(message_of(jpeg_of_size(65'500, 65'500)), HasSubstr("at most 89478485 pixels, received 65500 x 65500"));
  EXPECT_THAT(message_of(jpeg_of_size(65'535, 65'535)), HasSubstr("[the image] expected a whole JPEG file, received"));
  EXPECT_THAT(message_of(jpeg_of_size(0, 50)), HasSubstr("[the image] expected a whole JPEG file, received"));
  EXPECT_THAT(message_of(jpeg_of_size(37, 0)), HasSubstr("[the image] expected a whole JPEG file, received"));
}

TEST(HostileImages, AJpegFileWithLessThanItsHeaderSaysEndsGreyAsPillowHasIt) {
  const std::string bytes = jpeg_of_size(5000, 50);
  const Image image = decode_image(std::as_bytes(std::span(bytes)), "the image");
  EXPECT_EQ(image.rgb.size(), 3u * 5000 * 50);
}

TEST(HostileImages, CutFilesAreNamed) {
  for (const char* name :
       {"colour.jpg", "progressive.jpg", "grey.jpg", "cmyk.jpg", "rgb.png", "grey16.png", "interlaced.png", "palette.png"}) {
    const std::string whole = read_file(picture(name));
    for (size_t size = 0; size + 40 < whole.size(); size += 1 + whole.size() / 97)
      EXPECT_THAT(one_line_with(message_of(whole.substr(0, size))), HasSubstr("[the image] expected"))
          << name << " cut to " << size;
  }
}

TEST(HostileImages, OtherFilesAreNamed) {
  EXPECT_EQ(message_of(""), "[the image] expected a JPEG or PNG file, received an empty file");
  EXPECT_THAT(message_of("GIF89a...."), AllOf(HasSubstr("expected a JPEG or PNG file"), HasSubstr("GIF89a")));
  EXPECT_THAT(message_of(std::string("\x89PNG\r\n\x1a\n")), HasSubstr("received no header in it"));
  const Scratch folder;
  EXPECT_THAT(error_of(Code::io, [&] { read_image(folder / "none.png"); }), HasSubstr("none.png"));
  EXPECT_THAT(error_of(Code::bad_input, [&] { read_image(folder.write("a.png", "text")); }), HasSubstr("a.png"));
  error_of(Code::io, [&] { read_image(folder.path()); });
}

TEST(HostileImages, ABrokenChecksumOfPixelsIsNamed) {
  std::string bytes = read_file(picture("rgb.png"));
  bytes[bytes.size() - 13] ^= 1;  // the last chunk's own 12 bytes, and before it the sum of the pixels' chunk
  EXPECT_THAT(message_of(bytes), HasSubstr("expected a whole PNG file"));
}

TEST(Resize, RefusesSizesOutsideTheLimits) {
  const Image image = read_image(picture("one.png"));
  for (const auto& [height, width] : {std::pair<int64_t, int64_t>{0, 1}, {1, -1}, {70'000, 1}, {60'000, 60'000}})
    EXPECT_THAT(error_of(Code::bad_input, [&, h = height, w = width] { resize_bicubic(image, h, w); }), HasSubstr("65500"));
  error_of(Code::bug, [] { resize_bicubic({2, 2, {}}, 1, 1); });
  const Image large = resize_bicubic(image, 3, 2), cut = centre_crop(large, 1, 4);
  EXPECT_EQ(large.rgb.size(), 18u);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(large.rgb[15 + i], image.rgb[i]);
    EXPECT_EQ(cut.rgb[i], 0);
    EXPECT_EQ(cut.rgb[3 + i], image.rgb[i]);
    EXPECT_EQ(cut.rgb[9 + i], 0);
  }
}

TEST(ImageProcessorConfig, RefusesWhatItDoesNotFollow) {
  const std::pair<const char*, const char*> refused[] = {
      {R"({"image_processor_type": "ViTImageProcessor"})",
       "image_processor_type] expected CLIPImageProcessor, received \"ViTImageProcessor\""},
      {R"({"resample": 2})", "resample] expected 3 (bicubic), received 2"},
      {R"({"size": {"longest_edge": 5}})", "size] expected shortest_edge, or height and width"},
      {R"({"size": {"shortest_edge": 5, "longest_edge": 9}})", "size] expected shortest_edge, or height and width"},
      {R"({"size": {"shortest_edge": 0}})", "shortest_edge] expected 1 to 65500, received 0"},
      {R"({"size": "large"})", "size] expected shortest_edge"},
      {R"({"crop_size": {"shortest_edge": 5}})", "crop_size] expected height and width"},
      {R"({"image_mean": [1, 2]})", "image_mean] expected 3 numbers, received 2"},
      {R"({"image_std": [1, 0, 1]})", "image_std] expected numbers other than 0"},
      {R"({"do_pad": true})", "\"do_pad\"] expected only what CLIP's image processor has"},
      {R"({"do_resize": "yes"})", "do_resize] expected true or false"},
      {R"([])", "expected an object"},
  };
  for (const auto& [config, words] : refused)
    EXPECT_THAT(error_of(Code::bad_input, [&, text = config] { read_image_processor(parse_json(text, "a.json"), "a.json"); }),
                AllOf(HasSubstr("[a.json"), HasSubstr(words)))
        << config;
  read_image_processor(parse_json(R"({"do_pad": null, "do_reduce_labels": false, "processor_class": "CLIPProcessor"})", "a"),
                       "a");
}

class ClipFolders : public testing::Test {
 protected:
  ClipFolders() {
    for (const char* name : {"config.json", "model.safetensors", "preprocessor_config.json"})
      folder_.write(name, read_file(fs::path(DEPT_TEST_DATA) / "parity/data/vision/clip" / name));
  }
  std::string refused(Code code, const std::string& file, const std::string& key, const Json& value) {
    const std::string before = read_file(folder_ / file);
    Json config = parse_json(before, file);
    config[key] = value;
    folder_.write(file, config.dump());
    const std::string message = error_of(code, [&] { clip_vision(folder_.path(), {}); });
    folder_.write(file, before);
    return message;
  }
  Scratch folder_;
};

TEST_F(ClipFolders, RefuseOtherModels) {
  clip_vision(folder_.path(), {});
  const auto config = [&](const char* key, const Json& value) { return refused(Code::bad_input, "config.json", key, value); };
  EXPECT_THAT(config("model_type", "siglip"), HasSubstr("expected clip_vision_model or clip, received \"siglip\""));
  EXPECT_THAT(config("hidden_act", "relu"), HasSubstr("hidden_act] expected quick_gelu or gelu, received \"relu\""));
  EXPECT_THAT(config("num_attention_heads", 5),
              HasSubstr("num_attention_heads] expected a divisor of hidden_size, 32, received 5"));
  EXPECT_THAT(config("num_channels", 1), HasSubstr("num_channels] expected 3, received 1"));
  EXPECT_THAT(config("hidden_size", 0), HasSubstr("hidden_size] expected 1 to"));
  EXPECT_THAT(config("patch_size", 17), HasSubstr("image_size] expected 17 (patch_size) to 65500, received 16"));
  EXPECT_THAT(config("num_hidden_layers", 3), HasSubstr("encoder.layers.2"));
  EXPECT_THAT(config("hidden_size", 64), HasSubstr("model.safetensors"));
  EXPECT_THAT(refused(Code::bad_input, "preprocessor_config.json", "crop_size", Json{{"height", 18}, {"width", 16}}),
              HasSubstr("expected images of one size, the model's 16 x 16, received 18 x 16"));
  EXPECT_THAT(refused(Code::bad_input, "preprocessor_config.json", "do_center_crop", false),
              HasSubstr("expected images of one size"));
  fs::remove(folder_ / "preprocessor_config.json");
  EXPECT_THAT(error_of(Code::io, [&] { clip_vision(folder_.path(), {}); }), HasSubstr("preprocessor_config.json"));
}

TEST(FeatureFileKinds, AreByTheirEnding) {
  const Scratch folder;
  EXPECT_THAT(error_of(Code::bad_input, [&] { feature_file(folder.write("a.npy", "x")); }), HasSubstr("expected a feature file"));
  EXPECT_THAT(error_of(Code::bad_input, [&] { feature_file(folder.write("a.h5", "x")); }), HasSubstr("expected an HDF5 file"));
  EXPECT_THAT(error_of(Code::bad_input, [&] { feature_file(folder.write("b.h5", "")); }), HasSubstr("expected an HDF5 file"));
  EXPECT_THAT(error_of(Code::io, [&] { feature_file(folder / "none.h5"); }), HasSubstr("none.h5"));
  error_of(Code::usage, [&] { feature_file(folder / "none.h5", -1); });
}

}  // namespace
}  // namespace dept
