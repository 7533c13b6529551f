// The tokenizer of a folder without tokenizer.json, as transformers 5.17 builds it from the family's vocabulary files.
#include <algorithm>
#include <array>
#include <cctype>
#include <unordered_map>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "text/json_fields.h"
#include "text/sources.h"
#include "text/unicode.h"

namespace dept {
namespace {

constexpr uint64_t max_file_bytes = uint64_t{256} << 20;
constexpr const char* mark = "\u2581";  // SentencePiece's blank
constexpr std::array<const char*, 7> special_names = {"bos_token", "eos_token", "unk_token", "sep_token",
                                                      "pad_token", "cls_token", "mask_token"};

std::string content_of(const Json& token, const std::string& where) {
  return token.is_object() ? require<std::string>(token, "content", where) : token.is_string() ? token.get<std::string>() : "";
}

std::string encode_base64(std::string_view bytes) {
  static constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t at = 0; at < bytes.size(); at += 3) {
    uint32_t bits = 0;
    for (size_t i = 0; i < 3; ++i) bits = bits << 8 | (at + i < bytes.size() ? static_cast<uint8_t>(bytes[at + i]) : 0);
    for (size_t i = 0; i < 4; ++i) out += at + i <= bytes.size() ? alphabet[bits >> (18 - 6 * i) & 63] : '=';
  }
  return out;
}

// "$A" and "$B" are the texts, everything else a special token.
Json frame(const std::vector<std::string>& parts) {
  Json out = Json::array();
  for (const std::string& part : parts) {
    const bool text = part == "$A" || part == "$B";
    out.push_back({{text ? "Sequence" : "SpecialToken", {{"id", text ? part.substr(1) : part}, {"type_id", 0}}}});
  }
  return out;
}

// One folder on its way to a tokenizer.json.
class Builder {
 public:
  Builder(fs::path folder, Json config) : folder_(std::move(folder)), config_(std::move(config)) {
    if (fs::exists(folder_ / "added_tokens.json"))
      fail(Code::bad_input, (folder_ / "added_tokens.json").string(), "added tokens in tokenizer.json or tokenizer_config.json",
           "a file of their own");
  }

  TokenizerSource t5(), albert(), llama(), gpt2(), roberta(), bert();

 private:
  void defaults(std::initializer_list<std::pair<const char*, const char*>> tokens) {
    for (const auto& [name, token] : tokens)
      if (!config_.contains(name)) config_[name] = token;
  }
  std::string where() const { return (folder_ / "tokenizer_config.json").string(); }
  bool flag(const char* key, bool fallback) const { return value_or(config_, key, fallback, where()); }
  std::string special(const char* name) const { return content_of(config_.value(name, Json()), where()); }

  void read_pieces();
  void read_unigram(int64_t unk_id);
  void read_bpe_files();
  void add_tokens();
  void add_token(const Json& token, bool special);
  Json ids_frame(const std::vector<std::string>& single, const std::vector<std::string>& pair) const;
  Json bos_eos_frame() const;
  Json charsmap() const { return {{"type", "Precompiled"}, {"precompiled_charsmap", encode_base64(model_.charsmap)}}; }
  TokenizerSource finish();

  fs::path folder_;
  Json config_;
  SentencePieceModel model_;
  std::unordered_map<std::string, int64_t> ids_;  // of the vocabulary, then of added tokens too
  Json out_ = {{"version", "1.0"}}, added_ = Json::array();
  std::unordered_map<std::string, size_t> added_at_;
};

void Builder::read_pieces() {
  const fs::path path = fs::exists(folder_ / "spiece.model") ? folder_ / "spiece.model" : folder_ / "tokenizer.model";
  model_ = parse_sentencepiece(read_file(path, max_file_bytes), path.string());
  for (const auto& piece : model_.pieces)
    if (!ids_.emplace(piece.text, ids_.size()).second)
      fail(Code::bad_input, path.string(), "each piece once", str(quote(piece.text), " twice"));
}

void Builder::read_unigram(int64_t unk_id) {
  Json vocab = Json::array();
  for (const auto& piece : model_.pieces) vocab.push_back({piece.text, piece.score});
  out_["model"] = {{"type", "Unigram"}, {"unk_id", unk_id}, {"byte_fallback", false}, {"vocab", std::move(vocab)}};
}

void Builder::read_bpe_files() {
  Json vocab = read_json(folder_ / "vocab.json", max_file_bytes);
  if (!vocab.is_object()) fail(Code::bad_input, (folder_ / "vocab.json").string(), "an object of tokens and ids", kind_of(vocab));
  const std::string text = read_file(folder_ / "merges.txt", max_file_bytes);
  Json merges = Json::array();
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = std::string_view(text).substr(at, end - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.starts_with("#version")) merges.push_back(line);
    at = end + 1;
  }
  for (const auto& [token, id] : vocab.items())
    if (id.is_number_integer()) ids_[token] = id.get<int64_t>();
  out_["model"] = {{"type", "BPE"}, {"vocab", std::move(vocab)}, {"merges", std::move(merges)}};
  out_["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", flag("add_prefix_space", false)}};
  out_["decoder"] = {{"type", "ByteLevel"}};
}

void Builder::add_token(const Json& token, bool special) {
  const std::string content = content_of(token, where());
  if (content.empty() || added_at_.contains(content)) return;
  Json entry = {{"content", content}, {"special", special}, {"normalized", !special}};
  if (token.is_object()) {
    entry.update(token);
    entry["special"] = special || value_or(token, "special", false, where());
  }
  entry["id"] = ids_.emplace(content, static_cast<int64_t>(ids_.size())).first->second;
  added_at_[content] = added_.size();
  added_.push_back(std::move(entry));
}

// Those that the config lists by id, then the named ones, then the rest.
void Builder::add_tokens() {
  if (config_.contains("added_tokens_decoder")) {
    std::vector<std::pair<int64_t, Json>> listed;
    for (const auto& [id, token] : config_["added_tokens_decoder"].items())
      listed.emplace_back(std::strtoll(id.c_str(), nullptr, 10), token);
    std::stable_sort(listed.begin(), listed.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& [id, token] : listed) add_token(token, false);
  }
  for (const char* name : special_names) add_token(config_.value(name, Json()), true);
  if (!model_.pieces.empty()) {
    for (const auto& piece : model_.pieces)
      if (piece.kind == SentencePieceModel::control || piece.kind == SentencePieceModel::user_defined)
        add_token({{"content", piece.text}, {"normalized", false}}, piece.kind == SentencePieceModel::control);
  } else if (config_.contains("additional_special_tokens")) {
    for (const Json& token : config_["additional_special_tokens"]) add_token(token, true);
  }
}

Json Builder::ids_frame(const std::vector<std::string>& single, const std::vector<std::string>& pair) const {
  Json specials = Json::object();
  for (const std::string& token : pair) {
    if (token == "$A" || token == "$B") continue;
    const auto found = ids_.find(token);
    if (found == ids_.end())
      fail(Code::bad_input, folder_.string(), str("the token ", quote(token), " in the vocabulary"), "none");
    specials[token] = {{"id", token}, {"ids", {found->second}}, {"tokens", {token}}};
  }
  return {{"type", "TemplateProcessing"}, {"single", frame(single)}, {"pair", frame(pair)}, {"special_tokens", specials}};
}

// [bos] A [eos], where the config asks for them.
Json Builder::bos_eos_frame() const {
  const std::string bos = flag("add_bos_token", false) ? special("bos_token") : "";
  const std::string eos = flag("add_eos_token", false) ? special("eos_token") : "";
  std::vector<std::string> pair, single;
  for (const char* text : {"$A", "$B"}) {
    if (!bos.empty()) pair.push_back(bos);
    pair.push_back(text);
    if (!eos.empty()) pair.push_back(eos);
    if (single.empty()) single = pair;
  }
  return ids_frame(single, pair);
}

TokenizerSource Builder::finish() {
  out_["added_tokens"] = std::move(added_);
  return {std::move(out_), std::move(config_)};
}

TokenizerSource Builder::t5() {
  defaults({{"eos_token", "</s>"}, {"unk_token", "<unk>"}, {"pad_token", "<pad>"}});
  read_pieces();
  for (int64_t i = value_or<int64_t>(config_, "extra_ids", 100, where()) - 1; i >= 0 && model_.pieces.size() < 1 << 22; --i) {
    model_.pieces.push_back({str("<extra_id_", i, ">"), 0, SentencePieceModel::control});
    ids_.emplace(model_.pieces.back().text, static_cast<int64_t>(ids_.size()));
  }
  read_unigram(2);
  if (!model_.charsmap.empty()) out_["normalizer"] = charsmap();
  const Json metaspace = {{"type", "Metaspace"}, {"replacement", mark}, {"prepend_scheme", "always"}, {"split", true}};
  out_["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {{{"type", "WhitespaceSplit"}}, metaspace}}};
  out_["decoder"] = metaspace;
  add_tokens();
  out_["post_processor"] = ids_frame({"$A", "</s>"}, {"$A", "</s>", "$B", "</s>"});
  return finish();
}

TokenizerSource Builder::albert() {
  defaults({{"bos_token", "[CLS]"},
            {"eos_token", "[SEP]"},
            {"unk_token", "<unk>"},
            {"sep_token", "[SEP]"},
            {"pad_token", "<pad>"},
            {"cls_token", "[CLS]"},
            {"mask_token", "[MASK]"}});
  read_pieces();
  read_unigram(1);
  Json steps = Json::array();
  for (const char* quotes : {"``", "''"})
    steps.push_back({{"type", "Replace"}, {"pattern", {{"String", quotes}}}, {"content", "\""}});
  if (!flag("keep_accents", false)) steps.insert(steps.end(), {{{"type", "NFKD"}}, {{"type", "StripAccents"}}});
  if (flag("do_lower_case", true)) steps.push_back({{"type", "Lowercase"}});
  if (!model_.charsmap.empty()) steps.push_back(charsmap());
  out_["normalizer"] = {{"type", "Sequence"}, {"normalizers", std::move(steps)}};
  const char* scheme = flag("add_prefix_space", true) ? "always" : "never";
  const Json metaspace = {{"type", "Metaspace"}, {"replacement", mark}, {"prepend_scheme", scheme}, {"split", true}};
  out_["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {{{"type", "WhitespaceSplit"}}, metaspace}}};
  out_["decoder"] = metaspace;
  add_tokens();
  const std::string cls = special("cls_token"), sep = special("sep_token");
  out_["post_processor"] = ids_frame({cls, "$A", sep}, {cls, "$A", sep, "$B", sep});
  return finish();
}

TokenizerSource Builder::llama() {
  defaults({{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"unk_token", "<unk>"}});
  read_pieces();
  Json vocab = Json::object();
  std::vector<std::string> tokens;
  std::vector<double> ranks;
  for (const auto& piece : model_.pieces) {
    ranks.push_back(static_cast<double>(vocab.size()));
    vocab[piece.text] = vocab.size();
    tokens.push_back(piece.text);
  }
  out_["model"] = {{"type", "BPE"}, {"fuse_unk", true}, {"byte_fallback", true}, {"merges", merges_of(tokens, ranks)}};
  out_["model"]["vocab"] = std::move(vocab);
  const bool prefix = flag("add_prefix_space", true);
  const char* scheme = !prefix ? "never" : flag("legacy", false) ? "always" : "first";
  out_["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", mark}, {"prepend_scheme", scheme}, {"split", false}};
  Json steps = {
      {{"type", "Replace"}, {"pattern", {{"String", mark}}}, {"content", " "}}, {{"type", "ByteFallback"}}, {{"type", "Fuse"}}};
  if (prefix) steps.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  out_["decoder"] = {{"type", "Sequence"}, {"decoders", std::move(steps)}};
  add_tokens();
  out_["post_processor"] = bos_eos_frame();
  return finish();
}

TokenizerSource Builder::gpt2() {
  defaults({{"bos_token", "<|endoftext|>"}, {"eos_token", "<|endoftext|>"}, {"unk_token", "<|endoftext|>"}});
  read_bpe_files();
  add_tokens();
  out_["post_processor"] = bos_eos_frame();
  return finish();
}

TokenizerSource Builder::roberta() {
  defaults({{"bos_token", "<s>"},
            {"eos_token", "</s>"},
            {"unk_token", "<unk>"},
            {"sep_token", "</s>"},
            {"pad_token", "<pad>"},
            {"cls_token", "<s>"},
            {"mask_token", "<mask>"}});
  read_bpe_files();
  add_tokens();
  const std::string cls = special("cls_token"), sep = special("sep_token");
  out_["post_processor"] = ids_frame({cls, "$A", sep}, {cls, "$A", sep, sep, "$B", sep});
  return finish();
}

TokenizerSource Builder::bert() {
  defaults(
      {{"unk_token", "[UNK]"}, {"sep_token", "[SEP]"}, {"pad_token", "[PAD]"}, {"cls_token", "[CLS]"}, {"mask_token", "[MASK]"}});
  const std::string text = read_file(folder_ / "vocab.txt", max_file_bytes);
  const size_t broken = find_invalid_utf8(text);
  if (broken != std::string::npos)
    fail(Code::bad_input, (folder_ / "vocab.txt").string(), "valid UTF-8", str("a broken byte at offset ", broken));
  Json vocab = Json::object();
  int64_t id = 0;
  for (size_t at = 0; at < text.size(); ++id) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = std::string_view(text).substr(at, end - at);
    while (!line.empty() && unicode::classes[unicode::decode_before(line, line.size()).point] & unicode::space)
      line.remove_suffix(unicode::decode_before(line, line.size()).length);
    vocab[std::string(line)] = ids_[std::string(line)] = id;
    at = end + 1;
  }
  out_["model"] = {{"type", "WordPiece"}, {"unk_token", special("unk_token")}, {"vocab", std::move(vocab)}};
  out_["normalizer"] = {{"type", "BertNormalizer"},
                        {"handle_chinese_chars", flag("tokenize_chinese_chars", true)},
                        {"strip_accents", config_.value("strip_accents", Json())},
                        {"lowercase", flag("do_lower_case", true)}};
  out_["pre_tokenizer"] = {{"type", "BertPreTokenizer"}};
  out_["decoder"] = {{"type", "WordPiece"}, {"prefix", "##"}};
  add_tokens();
  const std::string cls = special("cls_token"), sep = special("sep_token");
  out_["post_processor"] = ids_frame({cls, "$A", sep}, {cls, "$A", sep, "$B", sep});
  return finish();
}

struct Family {
  std::string_view name;
  TokenizerSource (Builder::*build)();
};
constexpr Family families[] = {{"t5", &Builder::t5},          {"albert", &Builder::albert},   {"llama", &Builder::llama},
                               {"gpt2", &Builder::gpt2},      {"roberta", &Builder::roberta}, {"bert", &Builder::bert},
                               {"distilbert", &Builder::bert}};

// tokenizer_config.json's tokenizer_class, else config.json's model_type, else the family that the files are usual for.
std::string family_of(const fs::path& folder, const Json& config) {
  auto name = value_or<std::string>(config, "tokenizer_class", "", (folder / "tokenizer_config.json").string());
  for (const std::string_view ending : {"Fast", "Tokenizer"})
    if (name.ends_with(ending)) name.resize(name.size() - ending.size());
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  if (!name.empty() && name != "pretrained") return name;
  if (fs::exists(folder / "config.json")) {
    name = value_or<std::string>(read_json(folder / "config.json"), "model_type", "", (folder / "config.json").string());
    if (!name.empty()) return name;
  }
  if (fs::exists(folder / "spiece.model")) return "t5";
  if (fs::exists(folder / "tokenizer.model")) return "llama";
  return fs::exists(folder / "vocab.txt") ? "bert" : "gpt2";
}

}  // namespace

TokenizerSource read_vocabulary_files(const fs::path& folder) {
  Json config = Json::object();
  const fs::path side = folder / "tokenizer_config.json";
  if (fs::exists(side)) config = read_json(side, max_file_bytes);
  if (!config.is_object()) fail(Code::bad_input, side.string(), "an object", kind_of(config));
  const fs::path map = folder / "special_tokens_map.json";
  if (fs::exists(map) && !config.contains("added_tokens_decoder")) {
    const Json specials = read_json(map, max_file_bytes);
    if (!specials.is_object()) fail(Code::bad_input, map.string(), "an object", kind_of(specials));
    config.update(specials);
  }
  const std::string name = family_of(folder, config);
  const auto family = std::find_if(std::begin(families), std::end(families), [&](const Family& f) { return f.name == name; });
  if (family == std::end(families))
    fail(Code::bad_input, folder.string(),
         "a tokenizer.json, or the vocabulary files of T5, ALBERT, Llama, GPT-2, RoBERTa or BERT", str("those of ", quote(name)));
  return (Builder(folder, std::move(config)).*family->build)();
}

}  // namespace dept
