#include "dept/vision/image.h"

#include <array>
#include <cstring>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "vision/decoders.h"

namespace dept {
namespace {

constexpr std::array<uint8_t, 8> png_signature{0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
constexpr std::array<uint8_t, 3> jpeg_signature{0xFF, 0xD8, 0xFF};

template <size_t n>
bool begins_with(std::span<const std::byte> bytes, const std::array<uint8_t, n>& signature) {
  return bytes.size() >= n && std::memcmp(bytes.data(), signature.data(), n) == 0;
}

std::string first_bytes(std::span<const std::byte> bytes) {
  if (bytes.empty()) return "an empty file";
  const size_t shown = std::min<size_t>(bytes.size(), 8);
  return str(bytes.size(), " bytes that begin with ", quote({reinterpret_cast<const char*>(bytes.data()), shown}));
}

}  // namespace

void check_image_size(int64_t height, int64_t width, std::string_view where) {
  if (height < 1 || width < 1 || height > max_image_side || width > max_image_side || height * width > max_image_pixels)
    fail(Code::bad_input, where,
         str("an image with sides of 1 to ", max_image_side, " and at most ", max_image_pixels, " pixels"),
         str(height, " x ", width, " (height x width)"));
}

Image decode_image(std::span<const std::byte> bytes, std::string_view where) {
  if (begins_with(bytes, png_signature)) return decode_png(bytes, where);
  if (begins_with(bytes, jpeg_signature)) return decode_jpeg(bytes, where);
  fail(Code::bad_input, where, "a JPEG or PNG file", first_bytes(bytes));
}

Image read_image(const fs::path& path) {
  const std::string bytes = read_file(path, max_image_file_bytes);
  return decode_image(std::as_bytes(std::span(bytes)), path.string());
}

}  // namespace dept
