#include "dept/base/error.h"
#include "tensorio/unpickler.h"

// A pickle of any bytes is a dict of tensors or refused with an Error.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    dept::unpickle_tensors({reinterpret_cast<const char*>(data), size}, "input");
  } catch (const dept::Error&) {
  }
  return 0;
}
