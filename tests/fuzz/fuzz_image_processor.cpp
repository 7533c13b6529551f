#include "dept/base/error.h"
#include "dept/vision/image_processor.h"

// A preprocessor_config.json of any bytes is understood or refused with an Error.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const dept::Json config = dept::parse_json({reinterpret_cast<const char*>(data), size}, "input");
    const dept::ImageProcessor processor = dept::read_image_processor(config, "input");
    const dept::ImageProcessor::Size made = processor.result(3, 4);
    if (made.height < 256 && made.width < 256) processor(dept::Image{3, 4, std::vector<uint8_t>(36)});
  } catch (const dept::Error&) {
  }
  return 0;
}
