// The way of a text through a tokenizer: added tokens, normaliser, pre-tokenizers, model, post-processor; and back.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "dept/text/tokenizer.h"
#include "text/added_tokens.h"
#include "text/decoder.h"
#include "text/model.h"
#include "text/normalizer.h"
#include "text/post_processor.h"
#include "text/pre_tokenizer.h"
#include "text/sources.h"
#include "text/word_cache.h"

namespace dept {

class TokenizerPipeline : public Tokenizer {
 public:
  using Files = std::vector<std::pair<std::string, std::string>>;

  TokenizerPipeline(const TokenizerSource& source, const std::string& where);

  /// What files() answers.
  void set_files(Files files) { files_ = std::move(files); }
  /// The added tokens as a tokenizer.json lists them.
  Json added_tokens() const;

  Ids encode(std::string_view text, const EncodeOptions& options) const override;
  Ids encode_pair(std::string_view text, std::string_view pair, const EncodeOptions& options) const override;
  std::string decode(std::span<const int64_t> ids, bool skip_special_tokens) const override;
  int64_t vocab_size() const override { return vocab_size_; }
  std::optional<int64_t> token_to_id(std::string_view token) const override;
  std::string id_to_token(int64_t id) const override;
  bool contains(int64_t id) const override;
  Files files() const override { return files_; }

 private:
  // What one call needs; kept for the next one.
  struct Scratch {
    TextArena arena;
    std::vector<Segment> raw, normalized;
    std::vector<Piece> pieces, next;
    std::string text, words;
    WordCache cache;
  };
  class Lease;

  void encode_text(std::string_view text, Scratch& scratch, Ids& out) const;
  void encode_words(std::string_view text, bool at_start, Scratch& scratch, Ids& out) const;
  Ids finish(Ids a, Ids* b, const EncodeOptions& options) const;

  std::unique_ptr<Normalizer> normalizer_;
  std::vector<std::unique_ptr<PreTokenizer>> pre_tokenizers_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<AddedTokens> added_;
  PostProcessor post_processor_;
  std::unique_ptr<Decoder> decoder_;
  int64_t vocab_size_ = 0;
  bool truncates_start_ = false;
  Files files_;

  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Scratch>> idle_;
};

}  // namespace dept
