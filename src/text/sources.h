// Tokenizers that are not a tokenizer.json, told as one.
#pragma once

#include <string>
#include <vector>

#include "dept/base/json.h"

namespace dept {

/// What a tokenizer.json and the tokenizer_config.json beside it would say.
struct TokenizerSource {
  Json tokenizer, config;
};

/// From a GGUF file's metadata. Throws io or bad_input.
TokenizerSource read_gguf_tokenizer(const fs::path& path);

/// From a folder's spiece.model or tokenizer.model (T5, ALBERT, Llama), vocab.json and merges.txt (GPT-2, RoBERTa) or vocab.txt
/// (BERT), as transformers 5.17 builds its tokenizer from them and tokenizer_config.json. Throws io or bad_input.
TokenizerSource read_vocabulary_files(const fs::path& folder);

/// A SentencePiece model file: a protobuf message.
struct SentencePieceModel {
  enum Kind : uint64_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };
  struct Piece {
    std::string text;
    float score = 0;
    uint64_t kind = normal;
  };
  std::vector<Piece> pieces;
  std::string charsmap;  // of its normaliser
};

/// Throws bad_input naming `where` for anything but pieces in UTF-8, each once, with finite scores.
SentencePieceModel parse_sentencepiece(std::string_view bytes, const std::string& where);

/// Merges that build every token from two shorter ones, in the order of `ranks` (one a token, lower is earlier), then of the left
/// half's length: how BPE models of SentencePiece, which hold scores in place of merges, are told.
Json merges_of(const std::vector<std::string>& tokens, const std::vector<double>& ranks);

}  // namespace dept
