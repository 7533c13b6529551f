// A tokenizer's files loaded and, where they are good, used.
#pragma once

#include <filesystem>
#include <string>

#include "dept/base/error.h"
#include "dept/text/tokenizer.h"

namespace dept {

/// Loads the tokenizer, encodes and decodes with it and writes it again; any of it may be refused with an Error.
inline void use_tokenizer(const std::filesystem::path& path) {
  static const std::string text =
      "ab </s> \xC3\xA9\x65\xCC\x81 \xEF\xAC\x81  12\t\xE4\xB8\xAD\r\n<0x41> "
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab";
  try {
    const auto tokenizer = load_tokenizer(path);
    tokenizer->decode(tokenizer->encode(text));
    tokenizer->decode(tokenizer->encode_pair(text, "b", {.max_length = 9}), false);
    tokenizer->files();
  } catch (const Error&) {
  }
}

}  // namespace dept
