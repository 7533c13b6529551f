#include "dept/base/error.h"
#include "dept/text/tokenizer.h"
#include "memory_file.h"

// A tokenizer.json of any bytes loads or is refused with an Error; what loads encodes and decodes, or refuses with an Error.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string text =
      "ab </s> \xC3\xA9\x65\xCC\x81 \xEF\xAC\x81  12\t\xE4\xB8\xAD\r\n<0x41> "
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab";
  const dept::MemoryFile input(data, size);
  try {
    const auto tokenizer = dept::load_tokenizer(input.path());
    tokenizer->decode(tokenizer->encode(text));
    tokenizer->decode(tokenizer->encode_pair(text, "b", {.max_length = 9}), false);
  } catch (const dept::Error&) {
  }
  return 0;
}
