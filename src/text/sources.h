// A tokenizer told as a tokenizer.json, whatever its files are.
#pragma once

#include <string>
#include <vector>

#include "dept/base/json.h"
#include "text/settings.h"

namespace dept {

/// SentencePiece's blank.
inline constexpr const char* blank_mark = "\u2581";

/// T5 and its like have no more sentinels.
inline constexpr int64_t most_extra_ids = 1 << 16;

/// A token that is added to a model's vocabulary, and where it is listed.
struct TokenToAdd {
  Json token;
  std::string where;
};

/// What a tokenizer is made of.
struct TokenizerSource {
  Json tokenizer;  ///< as a tokenizer.json says it; its added_tokens are not read
  std::vector<std::vector<TokenToAdd>>
      batches;                            ///< added one batch after the other: each numbers its new tokens from the highest id
  Json config = Json::object();           ///< the named special tokens, and what else a tokenizer_config.json says
  Json model;                             ///< config.json, null where there is none
  std::string where_config, where_model;  ///< where errors about them are
  TokenizerRules rules = TokenizerRules::transformers_5;
};

/// How a SentencePiece model was trained: its trainer_spec, with the defaults of sentencepiece_model.proto.
struct SentencePieceTraining {
  bool unigram = true, byte_fallback = false;
  int64_t unk_id = 0, bos_id = 1, eos_id = 2;  // -1: none
  std::string unk_piece = "<unk>", bos_piece = "<s>", eos_piece = "</s>";
};

/// The vocabulary that a class of transformers builds its tokenizer on.
struct TokenizerParts {
  Json vocabulary;                 ///< {token: id} or [[piece, score], ..]
  Json merges = Json::array();     ///< of byte-pair encoding
  std::string charsmap;            ///< SentencePiece's character map in base64
  Json post_processor;             ///< tokenizer.json's own, else null
  Json pad_token;                  ///< of tokenizer.json's padding, else null
  Json pieces;                     ///< the control and user-defined pieces of a SentencePiece model, else null
  SentencePieceTraining training;  ///< of the SentencePiece model
};

/// The tokenizer of a tokenizer.json that is taken as it is.
TokenizerSource take_tokenizer(TokenizerSettings settings, Json tokenizer, const std::string& where);

/// The tokenizer that settings.class_name makes of the vocabulary. Throws bad_input for a class that is not known here or that
/// needs another vocabulary.
TokenizerSource build_tokenizer(TokenizerSettings settings, TokenizerParts parts);

/// Throws bad_input for a class that is not known here.
void check_class(const TokenizerSettings& settings);

/// What transformers 4.28's class changes of a tokenizer.json: BERT's normaliser, GPT-2's and RoBERTa's
/// prefix space; and the special tokens that the class has of its own.
void adjust_as_4_28(TokenizerSettings& settings, Json& tokenizer);

/// The vocabulary of a tokenizer.json.
TokenizerParts parts_of(Json tokenizer, const std::string& where);

/// From a GGUF file's metadata. Throws io or bad_input.
TokenizerSource read_gguf_tokenizer(const fs::path& path);

/// From a folder's spiece.model or tokenizer.model (T5, ALBERT, Llama), vocab.json and merges.txt (GPT-2, RoBERTa, Qwen2) or
/// vocab.txt (BERT). Throws io or bad_input.
TokenizerParts read_vocabulary_files(const fs::path& folder, const TokenizerSettings& settings);

/// The usual class for the vocabulary files of a folder whose other files name none.
std::string usual_class(const fs::path& folder);

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
  SentencePieceTraining training;
};

/// Throws bad_input naming `where` for anything but pieces in UTF-8, each once, with finite scores.
SentencePieceModel parse_sentencepiece(std::string_view bytes, const std::string& where);

/// Merges that build every token from two shorter ones, in the order of `ranks` (one a token, lower is earlier), then of the left
/// half's length: how BPE models of SentencePiece, which hold scores in place of merges, are told.
Json merges_of(const std::vector<std::string>& tokens, const std::vector<double>& ranks);

}  // namespace dept
