// SentencePiece's model file, as far as a tokenizer needs it: sentencepiece_model.proto's pieces and character map.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <unordered_map>
#include <unordered_set>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "text/sources.h"
#include "text/unicode.h"

namespace dept {
namespace {

// One field of a protobuf message: its number and its value, a number or bytes.
struct Field {
  uint64_t number = 0, value = 0;
  std::string_view bytes;
};

class Message {
 public:
  Message(std::string_view bytes, const std::string& where) : left_(bytes), where_(where) {}

  bool next(Field& field) {
    if (left_.empty()) return false;
    const uint64_t tag = varint();
    field = {tag >> 3, 0, {}};
    switch (tag & 7) {
      case 0:
        field.value = varint();
        break;
      case 1:
        field.bytes = take(8);
        break;
      case 2:
        field.bytes = take(varint());
        break;
      case 5:
        field.bytes = take(4);
        break;
      default:
        refuse(str("wire type ", tag & 7));
    }
    return true;
  }

 private:
  [[noreturn]] void refuse(const std::string& received) const {
    fail(Code::bad_input, where_, "a SentencePiece model (a protobuf message)", received);
  }
  std::string_view take(uint64_t size) {
    if (size > left_.size()) refuse(str("a field of ", size, " bytes where ", left_.size(), " are left"));
    const std::string_view taken = left_.substr(0, size);
    left_.remove_prefix(size);
    return taken;
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<uint8_t>(take(1)[0]);
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    refuse("a number without end");
  }

  std::string_view left_;
  const std::string& where_;
};

SentencePieceModel::Piece read_piece(std::string_view bytes, const std::string& where) {
  SentencePieceModel::Piece piece;
  Message message(bytes, where);
  for (Field field; message.next(field);) {
    if (field.number == 1) piece.text = field.bytes;
    if (field.number == 2 && field.bytes.size() == 4) std::memcpy(&piece.score, field.bytes.data(), 4);
    if (field.number == 3) piece.kind = field.value;
  }
  if (find_invalid_utf8(piece.text) != std::string_view::npos) fail(Code::bad_input, where, "valid UTF-8", quote(piece.text));
  if (!std::isfinite(piece.score)) fail(Code::bad_input, where, "a finite score", std::to_string(piece.score));
  return piece;
}

// A negative id is written as its two's complement in 64 bits.
SentencePieceTraining read_training(std::string_view bytes, const std::string& where) {
  SentencePieceTraining training;
  Message message(bytes, where);
  for (Field field; message.next(field);) {
    if (field.number == 3) training.unigram = field.value == 1;
    if (field.number == 35) training.byte_fallback = field.value != 0;
    if (field.number == 40) training.unk_id = static_cast<int32_t>(field.value);
    if (field.number == 41) training.bos_id = static_cast<int32_t>(field.value);
    if (field.number == 42) training.eos_id = static_cast<int32_t>(field.value);
    if (field.number == 45) training.unk_piece = field.bytes;
    if (field.number == 46) training.bos_piece = field.bytes;
    if (field.number == 47) training.eos_piece = field.bytes;
  }
  for (const std::string* piece : {&training.unk_piece, &training.bos_piece, &training.eos_piece})
    if (find_invalid_utf8(*piece) != std::string_view::npos) fail(Code::bad_input, where, "valid UTF-8", quote(*piece));
  return training;
}

void require_each_once(const SentencePieceModel& model, const std::string& where) {
  std::unordered_set<std::string_view> known;
  for (const auto& piece : model.pieces)
    if (!known.insert(piece.text).second) fail(Code::bad_input, where, "each piece once", str(quote(piece.text), " twice"));
}

}  // namespace

SentencePieceModel parse_sentencepiece(std::string_view bytes, const std::string& where) {
  SentencePieceModel model;
  Message message(bytes, where);
  for (Field field; message.next(field);) {
    if (field.number == 1) model.pieces.push_back(read_piece(field.bytes, str(where, ": pieces[", model.pieces.size(), "]")));
    if (field.number == 2) model.training = read_training(field.bytes, where);
    if (field.number != 3) continue;
    Message normalizer(field.bytes, where);
    for (Field part; normalizer.next(part);)
      if (part.number == 2) model.charsmap = part.bytes;
  }
  if (model.pieces.empty()) fail(Code::bad_input, where, "a SentencePiece model with pieces", "none");
  require_each_once(model, where);
  return model;
}

Json merges_of(const std::vector<std::string>& tokens, const std::vector<double>& ranks) {
  std::unordered_map<std::string_view, size_t> known;
  std::vector<size_t> order(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    known.emplace(tokens[i], i);
    order[i] = i;
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return ranks[a] < ranks[b]; });
  Json merges = Json::array();
  for (const size_t token : order) {
    const std::string_view text = tokens[token];
    constexpr size_t longest = 1024;  // a cut at every character is tried
    if (text.size() > longest) continue;
    for (size_t cut = 0; cut < text.size();) {
      cut += unicode::decode(text, cut).length;
      if (cut < text.size() && known.contains(text.substr(0, cut)) && known.contains(text.substr(cut)))
        merges.push_back({text.substr(0, cut), text.substr(cut)});
    }
  }
  return merges;
}

}  // namespace dept
