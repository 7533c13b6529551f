// clang-format off
#include <csetjmp>
#include <cstdio>
#include <jpeglib.h>  // uses what <cstdio> declares
#include <jerror.h>   // and what jpeglib.h declares
// clang-format on

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "vision/decoders.h"

namespace dept {
namespace {

constexpr int most_jpeg_scans = 500;              // a progressive file of a few kilobytes can ask for thousands of passes
constexpr long most_jpeg_memory = 1'000'000'000;  // of libjpeg's own, for a progressive file's coefficients

// libjpeg reports an error by a call that must not return. It jumps back to run(), past no object with a destructor: the steps
// hold none, and all memory belongs to this object or to libjpeg.
class JpegReader {
 public:
  JpegReader(std::span<const std::byte> bytes, std::string_view where) : bytes_(bytes), where_(where) {
    info_.err = jpeg_std_error(&errors_);
    errors_.error_exit = [](j_common_ptr info) { reader(info).jump(); };
    errors_.emit_message = [](j_common_ptr info, int level) { reader(info).hear(level); };
    errors_.output_message = [](j_common_ptr) {};
    info_.client_data = this;
    progress_.progress_monitor = [](j_common_ptr info) { reader(info).count_scans(); };
  }
  ~JpegReader() { jpeg_destroy_decompress(&info_); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  Image read() {
    run(&JpegReader::read_header);
    check_image_size(info_.image_height, info_.image_width, where_);
    choose_colours();
    run(&JpegReader::start);
    Image image{static_cast<int64_t>(info_.output_height), static_cast<int64_t>(info_.output_width), {}};
    row_bytes_ = size_t{info_.output_width} * static_cast<size_t>(info_.output_components);
    pixels_.resize(info_.output_height * row_bytes_);
    run(&JpegReader::read_rows);
    image.rgb = to_rgb(image);
    return image;
  }

 private:
  static JpegReader& reader(j_common_ptr info) { return *static_cast<JpegReader*>(info->client_data); }

  void run(void (JpegReader::*step)()) {
    if (setjmp(back_) != 0) fail(Code::bad_input, where_, "a whole JPEG file", message_);
    (this->*step)();
  }

  [[noreturn]] void jump() {
    errors_.format_message(reinterpret_cast<j_common_ptr>(&info_), message_);
    longjmp(back_, 1);
  }
  // Of warnings one counts: that the file ends too early, after which libjpeg would go on with grey.
  void hear(int level) {
    if (level < 0 && errors_.msg_code == JWRN_JPEG_EOF) jump();
  }
  void count_scans() {
    if (info_.input_scan_number <= most_jpeg_scans) return;
    std::snprintf(message_, sizeof message_, "more than %d passes over the image", most_jpeg_scans);
    longjmp(back_, 1);
  }

  void read_header() {
    jpeg_create_decompress(&info_);
    info_.progress = &progress_;
    info_.mem->max_memory_to_use = most_jpeg_memory;
    jpeg_mem_src(&info_, reinterpret_cast<const unsigned char*>(bytes_.data()), bytes_.size());
    jpeg_read_header(&info_, TRUE);
  }

  void choose_colours() {
    switch (info_.num_components) {
      case 1:
        info_.out_color_space = JCS_GRAYSCALE;
        break;
      case 3:
        info_.out_color_space = JCS_RGB;
        break;
      case 4:
        info_.out_color_space = JCS_CMYK;
        break;
      default:
        fail(Code::bad_input, where_, "a JPEG file of 1, 3 or 4 components", str(info_.num_components));
    }
  }

  void start() { jpeg_start_decompress(&info_); }

  void read_rows() {
    while (info_.output_scanline < info_.output_height) {
      JSAMPROW row = pixels_.data() + info_.output_scanline * row_bytes_;
      jpeg_read_scanlines(&info_, &row, 1);
    }
  }

  std::vector<uint8_t> to_rgb(const Image& image) {
    if (info_.output_components == 3) return std::move(pixels_);
    const auto count = static_cast<size_t>(image.height * image.width);
    std::vector<uint8_t> rgb(3 * count);
    for (size_t i = 0; i < count; ++i)
      for (size_t c = 0; c < 3; ++c)
        rgb[3 * i + c] = info_.output_components == 1 ? pixels_[i] : ink_to_light(pixels_[4 * i + c], pixels_[4 * i + 3]);
    return rgb;
  }

  // Files of four colours hold light, not ink (Adobe's habit, which Pillow takes for granted): `colour` and `black` are 255 where
  // there is no ink.
  static uint8_t ink_to_light(uint8_t colour, uint8_t black) {
    const unsigned product = (255u - colour) * black + 128;
    const unsigned taken = ((product >> 8) + product) >> 8;
    return static_cast<uint8_t>(black - taken);
  }

  std::span<const std::byte> bytes_;
  std::string_view where_;
  jpeg_decompress_struct info_{};
  jpeg_error_mgr errors_{};
  jpeg_progress_mgr progress_{};
  std::jmp_buf back_;
  char message_[JMSG_LENGTH_MAX] = "";
  std::vector<uint8_t> pixels_;
  size_t row_bytes_ = 0;
};

}  // namespace

Image decode_jpeg(std::span<const std::byte> bytes, std::string_view where) {
  return JpegReader(bytes, where).read();
}

}  // namespace dept
