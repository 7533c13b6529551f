#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/text/tokenizer.h"
#include "text/json_fields.h"
#include "text/mistral_words.h"
#include "text/pipeline.h"
#include "text/sources.h"
#include "text/written.h"

namespace dept {
namespace {

// The ids of the named special tokens; a name outside the vocabulary is left unset.
void take_specials(const TokenizerSource& source, Tokenizer& tokenizer) {
  const std::pair<const char*, std::optional<int64_t>*> fields[] = {{"bos_token", &tokenizer.bos_id},
                                                                    {"eos_token", &tokenizer.eos_id},
                                                                    {"pad_token", &tokenizer.pad_id},
                                                                    {"unk_token", &tokenizer.unk_id}};
  for (const auto& [key, id] : fields) {
    const std::string token = content_of(source.config.value(key, Json()), str(source.where_config, ": ", key));
    if (!token.empty()) *id = tokenizer.token_to_id(token);
  }
}

bool cleans_up(const TokenizerSource& source) {
  const auto type = value_or<std::string>(source.config, "tokenizer_class", "", source.where_config);
  return value_or<bool>(source.config, "clean_up_tokenization_spaces", type.rfind("Llama", 0) != 0, source.where_config);
}

std::shared_ptr<TokenizerPipeline> make(const TokenizerSource& source, const std::string& where) {
  auto tokenizer = std::make_shared<TokenizerPipeline>(source, where);
  take_specials(source, *tokenizer);
  tokenizer->cleans_up = cleans_up(source);
  return tokenizer;
}

std::shared_ptr<const Tokenizer> make_written(TokenizerSource source, const std::string& where) {
  auto tokenizer = make(source, where);
  tokenizer->set_files(written_files(std::move(source), *tokenizer));
  return tokenizer;
}

// The side files as they are, but for a class that config.json, which does not go with them, has decided.
TokenizerPipeline::Files side_files(const TokenizerSettings& settings) {
  TokenizerPipeline::Files files = settings.files;
  if (settings.class_in_config) return files;
  const auto config =
      std::find_if(files.begin(), files.end(), [](const auto& file) { return file.first == "tokenizer_config.json"; });
  OrderedJson json = config == files.end() ? OrderedJson::object() : OrderedJson::parse(config->second);
  json["tokenizer_class"] = settings.class_name.empty() ? "PreTrainedTokenizerFast" : settings.class_name;
  if (config == files.end())
    files.emplace_back("tokenizer_config.json", json.dump(2));
  else
    config->second = json.dump(2);
  return files;
}

std::shared_ptr<const Tokenizer> load_json(const fs::path& path, TokenizerRules rules) {
  TokenizerPipeline::Files files{{"tokenizer.json", read_file(path, max_file_bytes)}};
  const std::string where = path.string();
  Json json = parse_json(files[0].second, where);
  if (!json.is_object()) fail(Code::bad_input, where, "an object", kind_of(json));
  TokenizerSettings settings;
  settings.where = where;
  if (path.filename() == "tokenizer.json") settings = read_settings(path.parent_path(), json, rules);
  const TokenizerPipeline::Files sides = side_files(settings);
  files.insert(files.end(), sides.begin(), sides.end());
  const bool as_it_is = settings.class_name.empty() || rules == TokenizerRules::transformers_4;
  if (rules == TokenizerRules::transformers_4) adjust_as_4_28(settings, json);
  TokenizerSource source = as_it_is ? take_tokenizer(std::move(settings), std::move(json), where)
                                    : build_tokenizer(std::move(settings), parts_of(std::move(json), where));
  if (mend_mistral_words(source)) return make_written(std::move(source), where);
  auto tokenizer = make(source, where);
  tokenizer->set_files(std::move(files));
  return tokenizer;
}

std::shared_ptr<const Tokenizer> load_vocabulary_files(const fs::path& folder, TokenizerRules rules) {
  TokenizerSettings settings = read_settings(folder, nullptr, rules);
  if (!settings.says_class) settings.class_name = usual_class(folder);
  check_class(settings);
  TokenizerParts parts = read_vocabulary_files(folder, settings);
  TokenizerSource source = build_tokenizer(std::move(settings), std::move(parts));
  mend_mistral_words(source);
  return make_written(std::move(source), folder.string());
}

bool has_vocabulary_files(const fs::path& folder) {
  for (const char* name : {"spiece.model", "spm.model", "tokenizer.model", "vocab.txt"})
    if (fs::exists(folder / name)) return true;
  return fs::exists(folder / "vocab.json") && fs::exists(folder / "merges.txt");
}

}  // namespace

std::shared_ptr<const Tokenizer> load_tokenizer(const fs::path& path, TokenizerRules rules) {
  if (fs::is_directory(path)) {
    if (fs::exists(path / "tokenizer.json")) return load_json(path / "tokenizer.json", rules);
    const auto needs_none = [&] { return read_settings(path, nullptr, rules).class_name == "ByT5Tokenizer"; };
    if (has_vocabulary_files(path) || needs_none()) return load_vocabulary_files(path, rules);
    fail(Code::io, path.string(), "a tokenizer.json in the folder, or vocabulary files", "none");
  }
  require_readable_file(path, "tokenizer");
  return path.extension() == ".gguf" ? make_written(read_gguf_tokenizer(path), path.string()) : load_json(path, rules);
}

std::string Tokenizer::decode_written(std::span<const int64_t> ids) const {
  Ids known;
  for (const int64_t id : ids)
    if (contains(id)) known.push_back(id);
  return decode(known);
}

std::shared_ptr<const Tokenizer> load_tokenizer(const fs::path& path) {
  return load_tokenizer(path, TokenizerRules::transformers_5);
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
