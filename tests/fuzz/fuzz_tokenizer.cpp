#include "memory_file.h"
#include "use_tokenizer.h"

// A tokenizer.json of any bytes loads or is refused with an Error; what loads encodes and decodes, or refuses with an Error.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const dept::MemoryFile input(data, size);
  dept::use_tokenizer(input.path());
  return 0;
}
