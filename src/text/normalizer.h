// Normalisers: what happens to a text before it is cut into words.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "dept/base/json.h"

namespace dept {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  /// Valid UTF-8 in and out. False: nothing changes, and `out` holds nothing of use.
  virtual bool apply(std::string_view text, std::string& out) const = 0;
};

/// From the "normalizer" of a tokenizer.json; null gives none. Throws bad_input naming `where`.
std::unique_ptr<Normalizer> make_normalizer(const Json& json, const std::string& where);

/// SentencePiece's compiled character map ("Precompiled"), from its base64 text.
std::unique_ptr<Normalizer> make_charsmap(std::string_view base64, const std::string& where);

/// BERT's clean-up ("BertNormalizer").
std::unique_ptr<Normalizer> make_bert_normalizer(const Json& json, const std::string& where);

}  // namespace dept
