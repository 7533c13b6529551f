// The tokenizer of a GGUF file, told as a tokenizer.json.
#include "dept/tensorio/gguf.h"

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "text/pipeline.h"

namespace dept {
namespace {

// Kinds of tokenizer.ggml.token_type that are not plain vocabulary.
constexpr int64_t control = 3, user_defined = 4;

// llama.cpp's names of pre-tokenizers -> what cuts the text before the bytes are spelled.
Json pre_tokenizer(const std::string& name, const std::string& where) {
  Json gpt2 = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  if (name == "gpt-2") return gpt2;
  if (name == "smollm")
    return {{"type", "Sequence"}, {"pretokenizers", {{{"type", "Digits"}, {"individual_digits", true}}, gpt2}}};
  fail(Code::bad_input, where + ": tokenizer.ggml.pre", "gpt-2 or smollm", quote(name));
}

std::optional<int64_t> optional_id(const GgufFile& file, std::string_view key, size_t tokens, const std::string& where) {
  if (!file.has(key)) return std::nullopt;
  const int64_t id = file.integer(key);
  if (id < 0 || id >= static_cast<int64_t>(tokens))
    fail(Code::bad_input, str(where, ": ", key), str("an id below ", tokens), str(id));
  return id;
}

bool flag(const GgufFile& file, std::string_view key) {
  const auto found = file.metadata().find(key);
  const bool* value = found == file.metadata().end() ? nullptr : std::get_if<bool>(&found->second);
  return value != nullptr && *value;
}

// [bos] A [eos], as the file asks for.
Json template_of(const GgufFile& file, const std::vector<std::string>& tokens, const std::string& where) {
  const auto bos = flag(file, "tokenizer.ggml.add_bos_token")
                       ? optional_id(file, "tokenizer.ggml.bos_token_id", tokens.size(), where)
                       : std::nullopt;
  const auto eos = flag(file, "tokenizer.ggml.add_eos_token")
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

}  // namespace

GgufTokenizer read_gguf_tokenizer(const fs::path& path) {
  const auto file = open_gguf(path);
  const std::string where = path.string();
  const std::string& kind = file->string("tokenizer.ggml.model");
  if (kind != "gpt2") fail(Code::bad_input, where + ": tokenizer.ggml.model", "gpt2", quote(kind));
  const auto& tokens = file->strings("tokenizer.ggml.tokens");
  const auto& types = file->integers("tokenizer.ggml.token_type");
  if (types.size() != tokens.size())
    fail(Code::bad_input, where + ": tokenizer.ggml.token_type", str(tokens.size(), " types"), str(types.size()));
  Json vocab = Json::object(), added = Json::array();
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (find_invalid_utf8(tokens[id]) != std::string_view::npos)
      fail(Code::bad_input, str(where, ": tokenizer.ggml.tokens[", id, "]"), "valid UTF-8", quote(tokens[id]));
    if (!vocab.emplace(tokens[id], id).second)
      fail(Code::bad_input, str(where, ": tokenizer.ggml.tokens[", id, "]"), "each token once", str(quote(tokens[id]), " twice"));
    if (types[id] == control || types[id] == user_defined)
      added.push_back({{"id", id}, {"content", tokens[id]}, {"special", types[id] == control}, {"normalized", false}});
  }
  Json tokenizer = {
      {"version", "1.0"},
      {"added_tokens", std::move(added)},
      {"pre_tokenizer", pre_tokenizer(file->string("tokenizer.ggml.pre"), where)},
      {"post_processor", template_of(*file, tokens, where)},
      {"decoder", {{"type", "ByteLevel"}}},
      {"model", {{"type", "BPE"}, {"vocab", std::move(vocab)}, {"merges", file->strings("tokenizer.ggml.merges")}}}};
  Json config = Json::object();
  const std::pair<const char*, const char*> specials[] = {{"bos_token", "tokenizer.ggml.bos_token_id"},
                                                          {"eos_token", "tokenizer.ggml.eos_token_id"},
                                                          {"pad_token", "tokenizer.ggml.padding_token_id"},
                                                          {"unk_token", "tokenizer.ggml.unknown_token_id"}};
  for (const auto& [name, key] : specials)
    if (const auto id = optional_id(*file, key, tokens.size(), where)) config[name] = tokens[*id];
  return {std::move(tokenizer), std::move(config)};
}

}  // namespace dept
