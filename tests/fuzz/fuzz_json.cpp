#include "dept/base/error.h"
#include "dept/base/json.h"

// A JSON text of any bytes is parsed or refused with an Error.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    dept::parse_json({reinterpret_cast<const char*>(data), size}, "input");
  } catch (const dept::Error&) {
  }
  return 0;
}
