// Decoders: tokens put together to text again.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dept/base/json.h"

namespace dept {

class Decoder {
 public:
  virtual ~Decoder() = default;
  /// Changes the list of tokens; their concatenation is the text.
  virtual void apply(std::vector<std::string>& tokens) const = 0;
};

/// From the "decoder" of a tokenizer.json; null gives none (tokens are then joined by blanks). Throws bad_input naming `where`.
std::unique_ptr<Decoder> make_decoder(const Json& json, const std::string& where);

}  // namespace dept
