#include <array>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/text/tokenizer.h"
#include "text/json_fields.h"
#include "text/pipeline.h"
#include "text/sources.h"

namespace dept {
namespace {

constexpr uint64_t max_file_bytes = uint64_t{256} << 20;
constexpr std::array<const char*, 2> side_files = {"tokenizer_config.json", "special_tokens_map.json"};

// "</s>", or {"content": "</s>", ...}, or null.
std::string special_token(const Json& json, const char* key, const std::string& where) {
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) return "";
  return found->is_object() ? require<std::string>(*found, "content", str(where, ": ", key))
                            : require<std::string>(json, key, where);
}

// Sets the ids that a side file names and nothing has named yet; a name outside the vocabulary is left unset.
void take_specials(const Json& json, Tokenizer& tokenizer, const std::string& where) {
  if (!json.is_object()) fail(Code::bad_input, where, "an object", kind_of(json));
  const std::pair<const char*, std::optional<int64_t>*> fields[] = {{"bos_token", &tokenizer.bos_id},
                                                                    {"eos_token", &tokenizer.eos_id},
                                                                    {"pad_token", &tokenizer.pad_id},
                                                                    {"unk_token", &tokenizer.unk_id}};
  for (const auto& [key, id] : fields) {
    const std::string token = special_token(json, key, where);
    if (!token.empty() && !id->has_value()) *id = tokenizer.token_to_id(token);
  }
}

void take_clean_up(const Json& json, Tokenizer& tokenizer, const std::string& where) {
  const auto type = value_or<std::string>(json, "tokenizer_class", "", where);
  if (type.rfind("Llama", 0) == 0) tokenizer.cleans_up = false;
  tokenizer.cleans_up = value_or<bool>(json, "clean_up_tokenization_spaces", tokenizer.cleans_up, where);
}

// `sides` are the parsed side files that go with files[1], files[2], ...
std::shared_ptr<const Tokenizer> build(const Json& json, const std::vector<Json>& sides, TokenizerPipeline::Files files,
                                       const std::string& where) {
  auto tokenizer = std::make_shared<TokenizerPipeline>(json, files, where);
  const auto model_unk = std::exchange(tokenizer->unk_id, std::nullopt);
  for (size_t i = 0; i < sides.size(); ++i) {
    take_specials(sides[i], *tokenizer, str(where, ": ", files[i + 1].first));
    take_clean_up(sides[i], *tokenizer, str(where, ": ", files[i + 1].first));
  }
  if (!tokenizer->unk_id) tokenizer->unk_id = model_unk;
  return tokenizer;
}

std::shared_ptr<const Tokenizer> load_json(const fs::path& path) {
  TokenizerPipeline::Files files{{"tokenizer.json", read_file(path, max_file_bytes)}};
  std::vector<Json> sides;
  for (const char* name : side_files) {
    const fs::path side = path.parent_path() / name;
    if (path.filename() != "tokenizer.json" || !fs::exists(side)) continue;
    files.emplace_back(name, read_file(side, max_file_bytes));
    sides.push_back(parse_json(files.back().second, side.string()));
  }
  const Json json = parse_json(files[0].second, path.string());
  return build(json, sides, std::move(files), path.string());
}

std::shared_ptr<const Tokenizer> build(const TokenizerSource& source, const std::string& where) {
  TokenizerPipeline::Files files{{"tokenizer.json", source.tokenizer.dump()}, {"tokenizer_config.json", source.config.dump()}};
  return build(source.tokenizer, {source.config}, std::move(files), where);
}

bool has_vocabulary_files(const fs::path& folder) {
  return fs::exists(folder / "spiece.model") || fs::exists(folder / "tokenizer.model") || fs::exists(folder / "vocab.txt") ||
         (fs::exists(folder / "vocab.json") && fs::exists(folder / "merges.txt"));
}

}  // namespace

std::shared_ptr<const Tokenizer> load_tokenizer(const fs::path& path) {
  if (fs::is_directory(path)) {
    if (fs::exists(path / "tokenizer.json")) return load_json(path / "tokenizer.json");
    if (has_vocabulary_files(path)) return build(read_vocabulary_files(path), path.string());
    fail(Code::io, path.string(), "a tokenizer.json in the folder, or vocabulary files", "none");
  }
  require_readable_file(path, "tokenizer");
  return path.extension() == ".gguf" ? build(read_gguf_tokenizer(path), path.string()) : load_json(path);
}

std::string Tokenizer::decode_written(std::span<const int64_t> ids) const {
  Ids known;
  for (const int64_t id : ids)
    if (contains(id)) known.push_back(id);
  return decode(known);
}

std::vector<Ids> Tokenizer::encode_batch(std::span<const std::string> texts, const EncodeOptions& options, int threads) const {
  std::vector<Ids> out(texts.size());
  std::atomic<size_t> next = 0;
  std::exception_ptr error;
  std::mutex mutex;
  constexpr size_t chunk = 64;
  const auto work = [&] {
    try {
      for (size_t begin; (begin = next.fetch_add(chunk)) < texts.size();)
        for (size_t i = begin; i < std::min(begin + chunk, texts.size()); ++i) out[i] = encode(texts[i], options);
    } catch (...) {
      next = texts.size();
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
    }
  };
  std::vector<std::jthread> helpers;
  const size_t useful = (texts.size() + chunk - 1) / chunk;
  for (size_t i = 1; i < std::min<size_t>(static_cast<size_t>(std::max(threads, 1)), useful); ++i) helpers.emplace_back(work);
  work();
  helpers.clear();
  if (error) std::rethrow_exception(error);
  return out;
}

}  // namespace dept
