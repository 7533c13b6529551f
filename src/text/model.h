// The models: how one word (a piece that the pre-tokenizer cut) becomes ids.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "dept/base/json.h"
#include "dept/text/tokenizer.h"
#include "text/vocabulary.h"

namespace dept {

class Model {
 public:
  virtual ~Model() = default;
  /// Appends the ids of a word, not empty. Throws bad_input for text that the vocabulary cannot express.
  virtual void encode(std::string_view word, Ids& out) const = 0;

  const Vocabulary& vocabulary() const { return vocabulary_; }
  std::optional<int64_t> unk_id() const { return unk_id_; }

 protected:
  Vocabulary vocabulary_;
  std::optional<int64_t> unk_id_;
};

/// Byte-pair encoding (Sennrich et al. 2016). With `raw_bytes` words come as they are and stand for their byte-level
/// spelling (GPT-2's bytes_to_unicode), so that nobody has to write it out.
std::unique_ptr<Model> make_bpe(const Json& json, bool raw_bytes, const std::string& where);
/// The unigram language model (Kudo 2018).
std::unique_ptr<Model> make_unigram(const Json& json, const std::string& where);
/// Greedy longest match (BERT).
std::unique_ptr<Model> make_wordpiece(const Json& json, const std::string& where);

/// GPT-2's printable stand-ins for the 256 bytes: the code point of `byte`, and back (-1: none).
char32_t byte_to_point(uint8_t byte);
int point_to_byte(char32_t point);

}  // namespace dept
