// Text to ids and back, equal to the `tokenizers` library for the same tokenizer.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dept {

using Ids = std::vector<int64_t>;

enum class Truncation { none, longest_first, only_first, only_second };

struct EncodeOptions {
  bool add_special_tokens = true;
  int64_t max_length = 0;  ///< 0: no truncation; counts the special tokens
  Truncation truncation = Truncation::longest_first;
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Valid UTF-8 in; throws bad_input with the offset of the first broken byte.
  virtual Ids encode(std::string_view text, const EncodeOptions& options = {}) const = 0;
  virtual Ids encode_pair(std::string_view text, std::string_view pair, const EncodeOptions& options = {}) const = 0;
  /// Throws bad_input for an id outside the vocabulary.
  virtual std::string decode(std::span<const int64_t> ids, bool skip_special_tokens = true) const = 0;
  /// decode() of what a model has written: ids that it has beyond the vocabulary (T5's table is longer) are left out.
  std::string decode_written(std::span<const int64_t> ids) const;

  virtual int64_t vocab_size() const = 0;  ///< added tokens included
  virtual bool contains(int64_t id) const { return id >= 0 && id < vocab_size(); }
  virtual std::optional<int64_t> token_to_id(std::string_view token) const = 0;
  virtual std::string id_to_token(int64_t id) const = 0;

  /// From tokenizer_config.json / special_tokens_map.json / GGUF metadata, where they say.
  std::optional<int64_t> bos_id, eos_id, pad_id, unk_id;
  /// Whether transformers 4 cleans up the blanks of what this tokenizer decodes: as tokenizer_config.json says, else all but
  /// Llama's.
  bool cleans_up = true;

  /// The files that rebuild this tokenizer (name, bytes), for saving beside an adapter.
  virtual std::vector<std::pair<std::string, std::string>> files() const = 0;

  /// encode() of many texts on `threads` threads, in order.
  std::vector<Ids> encode_batch(std::span<const std::string> texts, const EncodeOptions& options, int threads) const;
};

/// A folder with tokenizer.json or else a family's vocabulary files (spiece.model, tokenizer.model, vocab.json and merges.txt,
/// vocab.txt), a tokenizer.json, or a .gguf file, as AutoTokenizer of transformers 5.17 makes it. Throws io or bad_input.
std::shared_ptr<const Tokenizer> load_tokenizer(const std::filesystem::path& path);

}  // namespace dept
