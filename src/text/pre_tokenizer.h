// Pre-tokenizers: a text cut into the words that the model encodes one at a time.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dept/base/json.h"

namespace dept {

/// Text made while cutting; views of it stay good until clear().
class TextArena {
 public:
  /// Room for `size` bytes; what is not used can be given back by a smaller keep().
  char* room(size_t size);
  std::string_view keep(size_t size);
  void clear();

 private:
  static constexpr size_t block_size = 1 << 16;
  std::vector<std::pair<std::unique_ptr<char[]>, size_t>> blocks_;  // memory and its size
  size_t used_ = 0;                                                 // of the last block
};

struct Piece {
  std::string_view text;
  bool at_start;  // begins where the whole text begins (what a normaliser took away there does not count)
};

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  /// Appends the pieces of `piece`; empty ones are left out.
  virtual void cut(const Piece& piece, TextArena& arena, std::vector<Piece>& out) const = 0;
  /// Does no more than write bytes as GPT-2's stand-ins.
  virtual bool is_byte_level() const { return false; }
};

/// The steps of a "pre_tokenizer", one after the other; null gives none. Throws bad_input naming `where`.
std::vector<std::unique_ptr<PreTokenizer>> make_pre_tokenizers(const Json& json, const std::string& where);

}  // namespace dept
