#include <png.h>

#include <csetjmp>
#include <cstring>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "vision/decoders.h"

namespace dept {
namespace {

// As in jpeg.cpp: an error jumps back to run(), past no object with a destructor.
class PngReader {
 public:
  PngReader(std::span<const std::byte> bytes, std::string_view where) : left_(bytes), where_(where) {
    png_ = png_create_read_struct(
        PNG_LIBPNG_VER_STRING, this, [](png_structp png, png_const_charp text) { reader(png_get_error_ptr(png)).jump(text); },
        [](png_structp, png_const_charp) {});
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
  }
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  Image read() {
    if (info_ == nullptr) fail(Code::resource, where_, "memory to read a PNG file", "none");
    check_size_in_header();
    run(&PngReader::read_header);
    Image image{png_get_image_height(png_, info_), png_get_image_width(png_, info_), {}};
    check_image_size(image.height, image.width, where_);
    const size_t row_bytes = png_get_rowbytes(png_, info_);
    pixels_.resize(static_cast<size_t>(image.height) * row_bytes);
    for (int64_t y = 0; y < image.height; ++y) rows_.push_back(pixels_.data() + static_cast<size_t>(y) * row_bytes);
    run(&PngReader::read_rows);
    image.rgb = to_rgb(static_cast<size_t>(image.height * image.width));
    return image;
  }

 private:
  static PngReader& reader(png_voidp object) { return *static_cast<PngReader*>(object); }

  void run(void (PngReader::*step)()) {
    if (setjmp(back_) != 0) fail(Code::bad_input, where_, "a whole PNG file", message_);
    (this->*step)();
  }
  [[noreturn]] void jump(const char* text) {
    std::strncpy(message_, text, sizeof message_ - 1);
    longjmp(back_, 1);
  }

  // The signature, then the first chunk: its length (13), "IHDR", width and height; numbers have the high byte first.
  void check_size_in_header() {
    const auto number = [&](size_t at) {
      int64_t value = 0;
      for (size_t i = 0; i < 4; ++i) value = value << 8 | std::to_integer<int64_t>(left_[at + i]);
      return value;
    };
    if (left_.size() < 24 || std::memcmp(left_.data() + 12, "IHDR", 4) != 0)
      fail(Code::bad_input, where_, "a whole PNG file", "no header in it");
    check_image_size(number(20), number(16), where_);
  }

  void give(png_bytep to, size_t size) {
    if (size > left_.size()) jump("an end before the image is complete");
    std::memcpy(to, left_.data(), size);
    left_ = left_.subspan(size);
  }

  // What is asked of libpng: a byte a sample, no transparency; 16 bits stay where they are grey. Chunks beside the pixels and the
  // palette are passed over, so none can ask for memory.
  void read_header() {
    png_set_read_fn(png_, this, [](png_structp png, png_bytep to, size_t size) { reader(png_get_io_ptr(png)).give(to, size); });
    png_set_user_limits(png_, max_image_side, max_image_side);
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
    png_read_info(png_, info_);
    png_set_packing(png_);
    png_set_strip_alpha(png_);
    if (png_get_color_type(png_, info_) != PNG_COLOR_TYPE_GRAY) png_set_strip_16(png_);
    depth_ = png_get_bit_depth(png_, info_);
    colours_ = png_get_color_type(png_, info_);
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
  }

  void read_rows() { png_read_image(png_, rows_.data()); }

  std::vector<uint8_t> to_rgb(size_t count) {
    if ((colours_ & ~PNG_COLOR_MASK_ALPHA) == PNG_COLOR_TYPE_RGB) return std::move(pixels_);
    std::vector<uint8_t> rgb(3 * count);
    const bool wide = colours_ == PNG_COLOR_TYPE_GRAY && depth_ == 16;
    const std::vector<uint8_t> table = colour_table();
    for (size_t i = 0; i < count; ++i) {
      // Of 16 bits the low byte where the high one is 0, else white.
      const uint8_t value = !wide ? pixels_[i] : pixels_[2 * i] == 0 ? pixels_[2 * i + 1] : uint8_t{255};
      std::memcpy(&rgb[3 * i], &table[size_t{3} * value], 3);
    }
    return rgb;
  }

  // [256, 3]: the palette, black behind its end; or grey of as many steps as there are bits.
  std::vector<uint8_t> colour_table() {
    std::vector<uint8_t> table(size_t{3} * 256);
    const bool grey = colours_ != PNG_COLOR_TYPE_PALETTE;
    const int step = !grey ? 0 : depth_ < 8 ? 255 / ((1 << depth_) - 1) : 1;
    for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<uint8_t>(i / 3 * static_cast<size_t>(step));
    png_colorp palette = nullptr;
    int entries = 0;
    if (!grey && png_get_PLTE(png_, info_, &palette, &entries) != 0)
      for (size_t i = 0; i < static_cast<size_t>(entries); ++i) {
        table[3 * i] = palette[i].red;
        table[3 * i + 1] = palette[i].green;
        table[3 * i + 2] = palette[i].blue;
      }
    return table;
  }

  std::span<const std::byte> left_;
  std::string_view where_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  std::jmp_buf back_;
  char message_[128] = "";
  std::vector<uint8_t> pixels_;
  std::vector<png_bytep> rows_;
  int depth_ = 8, colours_ = 0;
};

}  // namespace

Image decode_png(std::span<const std::byte> bytes, std::string_view where) {
  return PngReader(bytes, where).read();
}

}  // namespace dept
