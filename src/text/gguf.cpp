// The tokenizer of a GGUF file, told as a tokenizer.json.
#include "dept/tensorio/gguf.h"

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "text/pattern.h"
#include "text/sources.h"

namespace dept {
namespace {

// llama.cpp's names of pre-tokenizers, and what they mean.
struct BytePairs {
  Json pre_tokenizer;
  Json normalizer = nullptr;
  bool whole_words = false, add_bos = false;  // words of the vocabulary are not merged; <bos> unless the file says otherwise
};

BytePairs byte_pairs(const std::string& name, const std::string& where) {
  const auto sequence = [](const Json& first, bool use_regex) {
    const Json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}};
    return first.is_null() ? bytes : Json{{"type", "Sequence"}, {"pretokenizers", {first, bytes}}};
  };
  if (name == "gpt-2") return {sequence(nullptr, true)};
  if (name == "smollm") return {sequence({{"type", "Digits"}, {"individual_digits", true}}, true)};
  const auto words = [&](std::string_view pattern) {
    return sequence({{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}}, false);
  };
  if (name == "llama-bpe") return {words(llama3_pattern), nullptr, true, true};
  if (name == "qwen2") return {words(qwen2_pattern), {{"type", "NFC"}}};
  if (name == "dbrx") return {words(llama3_pattern)};                                        // Phi 4 and OLMo 2, too
  if (name == "olmo" || name == "mpt") return {sequence(nullptr, true), {{"type", "NFC"}}};  // GPT-NeoX's
  fail(Code::bad_input, where + ": tokenizer.ggml.pre", "gpt-2, smollm, llama-bpe, qwen2, dbrx, olmo or mpt", quote(name));
}

std::optional<int64_t> optional_id(const GgufFile& file, std::string_view key, size_t tokens, const std::string& where) {
  if (!file.has(key)) return std::nullopt;
  const int64_t id = file.integer(key);
  if (id < 0 || id >= static_cast<int64_t>(tokens))
    fail(Code::bad_input, str(where, ": ", key), str("an id below ", tokens), str(id));
  return id;
}

bool flag(const GgufFile& file, std::string_view key, bool fallback) {
  const auto found = file.metadata().find(key);
  const bool* value = found == file.metadata().end() ? nullptr : std::get_if<bool>(&found->second);
  return value != nullptr ? *value : fallback;
}

// [bos] A [eos], as the file asks for.
Json template_of(const GgufFile& file, const std::vector<std::string>& tokens, bool add_bos, const std::string& where) {
  const auto bos = flag(file, "tokenizer.ggml.add_bos_token", add_bos)
                       ? optional_id(file, "tokenizer.ggml.bos_token_id", tokens.size(), where)
                       : std::nullopt;
  const auto eos = flag(file, "tokenizer.ggml.add_eos_token", false)
                       ? optional_id(file, "tokenizer.ggml.eos_token_id", tokens.size(), where)
                       : std::nullopt;
  if (!bos && !eos) return nullptr;
  Json specials = Json::object();
  const auto special = [&](int64_t id) {
    specials[tokens[id]] = {{"id", tokens[id]}, {"ids", {id}}, {"tokens", {tokens[id]}}};
    return Json{{"SpecialToken", {{"id", tokens[id]}, {"type_id", 0}}}};
  };
  const auto frame = [&](std::initializer_list<const char*> texts) {
    Json parts = Json::array();
    for (const char* text : texts) {
      if (bos) parts.push_back(special(*bos));
      parts.push_back({{"Sequence", {{"id", text}, {"type_id", 0}}}});
      if (eos) parts.push_back(special(*eos));
    }
    return parts;
  };
  Json out = {{"type", "TemplateProcessing"}, {"single", frame({"A"})}, {"pair", frame({"A", "B"})}};
  out["special_tokens"] = specials;
  return out;
}

// What byte-level BPE files say beyond their vocabulary; gives the default of add_bos_token.
bool tell_byte_level(const GgufFile& file, const std::string& where, Json& out) {
  BytePairs pairs = byte_pairs(file.string("tokenizer.ggml.pre"), where);
  out["normalizer"] = std::move(pairs.normalizer);
  out["pre_tokenizer"] = std::move(pairs.pre_tokenizer);
  out["decoder"] = {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}};
  out["model"]["ignore_merges"] = pairs.whole_words;
  out["model"]["merges"] = file.strings("tokenizer.ggml.merges");
  return pairs.add_bos;
}

// The same of SentencePiece's BPE models, whose scores rank the merges.
bool tell_sentencepiece(const GgufFile& file, const std::vector<std::string>& tokens, const std::string& where, Json& out) {
  std::vector<double> ranks = file.numbers("tokenizer.ggml.scores");
  if (ranks.size() != tokens.size())
    fail(Code::bad_input, where + ": tokenizer.ggml.scores", str(tokens.size(), " scores"), str(ranks.size()));
  for (double& rank : ranks) rank = -rank;
  Json blanks = {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", blank_mark}};
  Json marks = {{"type", "Replace"}, {"pattern", {{"String", blank_mark}}}, {"content", " "}};
  Json normalizers = Json::array({blanks}), decoders = {marks, {{"type", "ByteFallback"}}, {{"type", "Fuse"}}};
  if (flag(file, "tokenizer.ggml.add_space_prefix", true)) {
    normalizers.insert(normalizers.begin(), Json{{"type", "Prepend"}, {"prepend", blank_mark}});
    decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  out["normalizer"] = {{"type", "Sequence"}, {"normalizers", std::move(normalizers)}};
  out["decoder"] = {{"type", "Sequence"}, {"decoders", std::move(decoders)}};
  out["model"].update({{"fuse_unk", true}, {"byte_fallback", true}, {"merges", merges_of(tokens, ranks)}});
  if (const auto unk = optional_id(file, "tokenizer.ggml.unknown_token_id", tokens.size(), where))
    out["model"]["unk_token"] = tokens[*unk];
  return true;
}

}  // namespace

TokenizerSource read_gguf_tokenizer(const fs::path& path) {
  const auto file = open_gguf(path);
  const std::string where = path.string();
  const std::string& kind = file->string("tokenizer.ggml.model");
  if (kind != "gpt2" && kind != "llama") fail(Code::bad_input, where + ": tokenizer.ggml.model", "gpt2 or llama", quote(kind));
  const auto& tokens = file->strings("tokenizer.ggml.tokens");
  const auto& types = file->integers("tokenizer.ggml.token_type");
  if (types.size() != tokens.size())
    fail(Code::bad_input, where + ": tokenizer.ggml.token_type", str(tokens.size(), " types"), str(types.size()));
  Json vocab = Json::object();
  std::vector<TokenToAdd> added;
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (find_invalid_utf8(tokens[id]) != std::string_view::npos)
      fail(Code::bad_input, str(where, ": tokenizer.ggml.tokens[", id, "]"), "valid UTF-8", quote(tokens[id]));
    if (!vocab.emplace(tokens[id], id).second)
      fail(Code::bad_input, str(where, ": tokenizer.ggml.tokens[", id, "]"), "each token once", str(quote(tokens[id]), " twice"));
    const bool special = types[id] == SentencePieceModel::control || types[id] == SentencePieceModel::unknown;
    if (special || types[id] == SentencePieceModel::user_defined)
      added.push_back({{{"id", id}, {"content", tokens[id]}, {"special", special}, {"normalized", false}}, where});
  }
  Json tokenizer = {{"version", "1.0"}, {"model", {{"type", "BPE"}}}};
  tokenizer["model"]["vocab"] = std::move(vocab);
  const bool add_bos =
      kind == "gpt2" ? tell_byte_level(*file, where, tokenizer) : tell_sentencepiece(*file, tokens, where, tokenizer);
  tokenizer["post_processor"] = template_of(*file, tokens, add_bos, where);
  Json config = Json::object();
  const std::pair<const char*, const char*> specials[] = {{"bos_token", "tokenizer.ggml.bos_token_id"},
                                                          {"eos_token", "tokenizer.ggml.eos_token_id"},
                                                          {"pad_token", "tokenizer.ggml.padding_token_id"},
                                                          {"unk_token", "tokenizer.ggml.unknown_token_id"}};
  for (const auto& [name, key] : specials)
    if (const auto id = optional_id(*file, key, tokens.size(), where)) config[name] = tokens[*id];
  if (file->has("tokenizer.chat_template")) config["chat_template"] = file->string("tokenizer.chat_template");
  return {.tokenizer = std::move(tokenizer),
          .batches = {std::move(added)},
          .config = std::move(config),
          .model = {},
          .where_config = where,
          .where_model = ""};
}

}  // namespace dept
