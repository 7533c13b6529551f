// The vocabulary of a folder without tokenizer.json, as transformers 5.17 reads it from the family's files.
#include <algorithm>
#include <map>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "text/json_fields.h"
#include "text/model.h"
#include "text/sources.h"
#include "text/unicode.h"

namespace dept {
namespace {

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

// Control pieces are special tokens, user-defined ones are found in the text.
Json tokens_of(const SentencePieceModel& model) {
  Json out = Json::array();
  for (const auto& piece : model.pieces)
    if (piece.kind == SentencePieceModel::control || piece.kind == SentencePieceModel::user_defined)
      out.push_back({{"content", piece.text}, {"normalized", false}, {"special", piece.kind == SentencePieceModel::control}});
  return out;
}

TokenizerParts scored_pieces(const SentencePieceModel& model) {
  TokenizerParts parts;
  parts.vocabulary = Json::array();
  for (const auto& piece : model.pieces) parts.vocabulary.push_back({piece.text, piece.score});
  return parts;
}

// Merges in the order of the pieces that they make.
TokenizerParts merged_pieces(const SentencePieceModel& model) {
  TokenizerParts parts;
  parts.vocabulary = Json::object();
  std::vector<std::string> tokens;
  std::vector<double> ranks;
  for (const auto& piece : model.pieces) {
    ranks.push_back(static_cast<double>(tokens.size()));
    parts.vocabulary[piece.text] = tokens.size();
    tokens.push_back(piece.text);
  }
  parts.merges = merges_of(tokens, ranks);
  return parts;
}

// A token that the settings list in the place of a piece takes that piece's place.
void rename_pieces(const TokenizerSettings& settings, Json& vocabulary) {
  std::map<int64_t, std::string> pieces;
  for (const auto& [piece, id] : vocabulary.items()) pieces[id.get<int64_t>()] = piece;
  for (const Json& token : settings.listed) {
    const auto found = pieces.find(token["id"].get<int64_t>());
    const auto name = token["content"].get<std::string>();
    if (found == pieces.end() || vocabulary.contains(name)) continue;
    vocabulary.erase(found->second);
    vocabulary[name] = found->first;
  }
}

bool scores_pieces(const std::string& class_name) {
  return class_name == "T5Tokenizer" || class_name == "AlbertTokenizer" || class_name == "DebertaV2Tokenizer";
}

TokenizerParts read_sentencepiece(const fs::path& path, const TokenizerSettings& settings) {
  const SentencePieceModel model = parse_sentencepiece(read_file(path, max_file_bytes), path.string());
  const std::string& type = settings.class_name;
  const bool unigram = type.empty() ? model.training.unigram : scores_pieces(type);
  TokenizerParts parts = unigram ? scored_pieces(model) : merged_pieces(model);
  parts.charsmap = encode_base64(model.charsmap);
  parts.pieces = tokens_of(model);
  parts.training = model.training;
  if (type.empty() && !unigram) rename_pieces(settings, parts.vocabulary);
  if (type != "T5Tokenizer") return parts;
  const auto extra = value_or<int64_t>(settings.config, "extra_ids", 100, settings.where);
  for (int64_t i = std::min(extra, most_extra_ids) - 1; i >= 0; --i) parts.vocabulary.push_back({str("<extra_id_", i, ">"), 0.0});
  return parts;
}

TokenizerParts read_byte_pairs(const fs::path& folder) {
  TokenizerParts parts;
  parts.vocabulary = read_json(folder / "vocab.json", max_file_bytes);
  if (!parts.vocabulary.is_object())
    fail(Code::bad_input, (folder / "vocab.json").string(), "an object of tokens and ids", kind_of(parts.vocabulary));
  const std::string text = read_file(folder / "merges.txt", max_file_bytes);
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = std::string_view(text).substr(at, end - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.starts_with("#version")) parts.merges.push_back(line);
    at = end + 1;
  }
  return parts;
}

// vocab.txt: a token a line.
TokenizerParts read_word_pieces(const fs::path& path) {
  const std::string text = read_file(path, max_file_bytes);
  const size_t broken = find_invalid_utf8(text);
  if (broken != std::string::npos) fail(Code::bad_input, path.string(), "valid UTF-8", str("a broken byte at offset ", broken));
  TokenizerParts parts;
  parts.vocabulary = Json::object();
  int64_t id = 0;
  for (size_t at = 0; at < text.size(); ++id) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = std::string_view(text).substr(at, end - at);
    while (!line.empty() && unicode::classes[unicode::decode_before(line, line.size()).point] & unicode::space)
      line.remove_suffix(unicode::decode_before(line, line.size()).length);
    parts.vocabulary[std::string(line)] = id;
    at = end + 1;
  }
  return parts;
}

// ByT5's, which no file holds: three special tokens, then a token a byte.
TokenizerParts byte_vocabulary(const TokenizerSettings& settings) {
  TokenizerParts parts;
  parts.vocabulary = Json::object();
  for (const auto& [name, usual] : {std::pair{"pad_token", "<pad>"}, {"eos_token", "</s>"}, {"unk_token", "<unk>"}})
    parts.vocabulary[content_of(settings.config.value(name, Json(usual)), settings.where)] = parts.vocabulary.size();
  const auto first = static_cast<int64_t>(parts.vocabulary.size());
  for (int64_t byte = 0; byte < 256; ++byte)
    parts.vocabulary[unicode::encode(byte_to_point(static_cast<uint8_t>(byte)))] = first + byte;
  return parts;
}

fs::path sentencepiece_file(const fs::path& folder, const std::string& class_name) {
  const fs::path own = folder / (class_name == "DebertaV2Tokenizer" ? "spm.model" : "spiece.model");
  return scores_pieces(class_name) && fs::exists(own) ? own : folder / "tokenizer.model";
}

}  // namespace

std::string usual_class(const fs::path& folder) {
  if (fs::exists(folder / "spiece.model")) return "T5Tokenizer";
  if (fs::exists(folder / "spm.model")) return "DebertaV2Tokenizer";
  if (fs::exists(folder / "tokenizer.model")) return "";
  return fs::exists(folder / "vocab.txt") ? "BertTokenizer" : "GPT2Tokenizer";
}

TokenizerParts read_vocabulary_files(const fs::path& folder, const TokenizerSettings& settings) {
  const std::string& type = settings.class_name;
  if (type == "BertTokenizer") return read_word_pieces(folder / "vocab.txt");
  if (type == "ByT5Tokenizer") return byte_vocabulary(settings);
  const fs::path pieces = sentencepiece_file(folder, type);
  const bool of_pieces = type.empty() || type == "LlamaTokenizer" || scores_pieces(type);
  if (of_pieces || (fs::exists(pieces) && !fs::exists(folder / "vocab.json"))) return read_sentencepiece(pieces, settings);
  return read_byte_pairs(folder);
}

}  // namespace dept
