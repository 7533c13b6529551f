// Pictures: reading JPEG and PNG files, and changing their size as Pillow does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "dept/base/file.h"

namespace dept {

/// A picture of 8 bits a colour.
struct Image {
  int64_t height = 0, width = 0;
  std::vector<uint8_t> rgb;  ///< [height, width, 3]: rows from the top, in each from the left, red, green, blue
};

/// The limits that a file's header is held to before anything is allocated for its pixels: both sides, their product, and the
/// length of the file itself.
inline constexpr int64_t max_image_side = 65'500, max_image_pixels = 89'478'485;
inline constexpr uint64_t max_image_file_bytes = uint64_t{256} << 20;

/// A JPEG or PNG file, which its first bytes tell apart, as Pillow's convert("RGB") gives it: grey and palettes become colours,
/// transparency is dropped, of 16 bits the upper 8 stay (16 grey ones are cut at 255, as Pillow does), CMYK becomes RGB, and an
/// orientation in EXIF is not applied. May be called from several threads at once.
/// Throws io when the file cannot be read; bad_input for other formats, a broken or cut file, and sizes over the limits.
Image read_image(const fs::path& path);
/// The same of a file's bytes; `where` names them in errors.
Image decode_image(std::span<const std::byte> bytes, std::string_view where);

/// Pillow's resize with BICUBIC (a = -0.5): each side by itself, first the width; where a side shrinks, the filter is stretched
/// so that every pixel counts. In Pillow's own fixed-point numbers, so the bytes are equal. Throws bug for an image whose bytes
/// do not go with its sides, bad_input for sizes outside the limits.
Image resize_bicubic(const Image& image, int64_t height, int64_t width);

/// The middle of an image; where it is smaller, what is missing is black. Of odd remainders the smaller half stands above and to
/// the left. Throws as resize_bicubic does.
Image centre_crop(const Image& image, int64_t height, int64_t width);

}  // namespace dept
