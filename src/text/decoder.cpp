#include "text/decoder.h"

#include <algorithm>
#include <functional>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "text/json_fields.h"
#include "text/model.h"
#include "text/pattern.h"
#include "text/unicode.h"

namespace dept {
namespace {

using Tokens = std::vector<std::string>;

class DecoderSequence : public Decoder {
 public:
  explicit DecoderSequence(std::vector<std::unique_ptr<Decoder>> steps) : steps_(std::move(steps)) {}
  void apply(Tokens& tokens) const override {
    for (const auto& step : steps_) step->apply(tokens);
  }

 private:
  std::vector<std::unique_ptr<Decoder>> steps_;
};

// Stand-ins become bytes; a token with any other character stays as it is. What is not UTF-8 in the end is U+FFFD.
class ByteLevel : public Decoder {
 public:
  void apply(Tokens& tokens) const override {
    std::string bytes;
    for (const std::string& token : tokens) {
      const size_t before = bytes.size();
      for (size_t at = 0; at < token.size();) {
        const auto [point, length] = unicode::decode(token, at);
        const int byte = point_to_byte(point);
        if (byte < 0) {
          bytes.resize(before);
          bytes += token;
          break;
        }
        bytes += static_cast<char>(byte);
        at += length;
      }
    }
    tokens.assign(1, unicode::replace_invalid(bytes));
  }
};

class Metaspace : public Decoder {
 public:
  Metaspace(const Json& json, const std::string& where) {
    mark_ = unicode::encode(read_character(json, "replacement", where));
    drop_first_ = value_or(json, "add_prefix_space", true, where) &&
                  value_or<std::string>(json, "prepend_scheme", "always", where) != "never";
  }
  // Marks become blanks; in the first token they go.
  void apply(Tokens& tokens) const override {
    for (size_t i = 0; i < tokens.size(); ++i) {
      const std::string_view blank = i == 0 && drop_first_ ? "" : " ";
      std::string out;
      size_t at = 0;
      for (size_t next; (next = tokens[i].find(mark_, at)) != std::string::npos; at = next + mark_.size())
        out.append(tokens[i], at, next - at).append(blank);
      if (at > 0) tokens[i] = out.append(tokens[i], at);
    }
  }

 private:
  std::string mark_;
  bool drop_first_;
};

// Runs of <0xNN> become the text that they spell, or a U+FFFD each.
class ByteFallback : public Decoder {
 public:
  void apply(Tokens& tokens) const override {
    Tokens out;
    std::string bytes;
    const auto flush = [&] {
      if (bytes.empty()) return;
      if (find_invalid_utf8(bytes) == std::string_view::npos)
        out.push_back(bytes);
      else
        out.insert(out.end(), bytes.size(), "\xEF\xBF\xBD");
      bytes.clear();
    };
    for (std::string& token : tokens) {
      const int byte = byte_of(token);
      if (byte >= 0) {
        bytes += static_cast<char>(byte);
      } else {
        flush();
        out.push_back(std::move(token));
      }
    }
    flush();
    tokens = std::move(out);
  }

 private:
  static int byte_of(std::string_view token) {
    if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
    const auto digit = [](char c) {
      return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    };
    const int high = token[3] == '+' ? 0 : digit(token[3]), low = digit(token[4]);  // Rust's parser takes a plus sign
    return high < 0 || low < 0 ? -1 : high * 16 + low;
  }
};

class Fuse : public Decoder {
 public:
  void apply(Tokens& tokens) const override {
    std::string all;
    for (const std::string& token : tokens) all += token;
    tokens.assign(1, all);
  }
};

class Strip : public Decoder {
 public:
  Strip(const Json& json, const std::string& where)
      : content_(unicode::encode(read_character(json, "content", where))),
        start_(require<int64_t>(json, "start", where)),
        stop_(require<int64_t>(json, "stop", where)) {}
  void apply(Tokens& tokens) const override {
    for (std::string& token : tokens) {
      std::string_view left = token;
      for (int64_t i = 0; i < start_ && left.starts_with(content_); ++i) left.remove_prefix(content_.size());
      for (int64_t i = 0; i < stop_ && left.ends_with(content_); ++i) left.remove_suffix(content_.size());
      token = std::string(left);
    }
  }

 private:
  std::string content_;
  int64_t start_, stop_;
};

class Replace : public Decoder {
 public:
  Replace(const Json& json, const std::string& where)
      : pattern_(json, where), content_(require<std::string>(json, "content", where)) {}
  void apply(Tokens& tokens) const override {
    std::string out;
    for (std::string& token : tokens)
      if (pattern_.replace_all(token, content_, out)) token.swap(out);
  }

 private:
  Pattern pattern_;
  std::string content_;
};

void replace_plain(std::string& text, std::string_view from, std::string_view to) {
  std::string replaced;
  size_t done = 0;
  for (size_t at = 0; (at = text.find(from, done)) != std::string::npos; done = at + from.size())
    replaced.append(text, done, at - done).append(to);
  text = replaced.append(text, done);
}

class WordPiece : public Decoder {
 public:
  WordPiece(const Json& json, const std::string& where)
      : prefix_(value_or<std::string>(json, "prefix", "##", where)), cleanup_(value_or(json, "cleanup", true, where)) {}
  void apply(Tokens& tokens) const override {
    static constexpr std::pair<std::string_view, std::string_view> clean[] = {
        {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
        {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (i > 0) tokens[i] = tokens[i].starts_with(prefix_) ? tokens[i].substr(prefix_.size()) : " " + tokens[i];
      if (!cleanup_) continue;
      for (const auto& [from, to] : clean) replace_plain(tokens[i], from, to);
    }
  }

 private:
  std::string prefix_;
  bool cleanup_;
};

class BpeSuffix : public Decoder {
 public:
  explicit BpeSuffix(std::string suffix) : suffix_(std::move(suffix)) {}
  void apply(Tokens& tokens) const override {
    for (size_t i = 0; i < tokens.size() && !suffix_.empty(); ++i)
      replace_plain(tokens[i], suffix_, i + 1 == tokens.size() ? "" : " ");
  }

 private:
  std::string suffix_;
};

}  // namespace

std::unique_ptr<Decoder> make_decoder(const Json& json, const std::string& where) {
  if (json.is_null()) return nullptr;
  const auto type = require<std::string>(json, "type", where);
  if (type == "ByteLevel") return std::make_unique<ByteLevel>();
  if (type == "Metaspace") return std::make_unique<Metaspace>(json, where);
  if (type == "ByteFallback") return std::make_unique<ByteFallback>();
  if (type == "Fuse") return std::make_unique<Fuse>();
  if (type == "Strip") return std::make_unique<Strip>(json, where);
  if (type == "Replace") return std::make_unique<Replace>(json, where);
  if (type == "WordPiece") return std::make_unique<WordPiece>(json, where);
  if (type == "BPEDecoder") return std::make_unique<BpeSuffix>(value_or<std::string>(json, "suffix", "</w>", where));
  if (type == "Sequence") {
    const Json& list = member(json, "decoders", where);
    if (!list.is_array()) fail(Code::bad_input, where + ": decoders", "a list", kind_of(list));
    std::vector<std::unique_ptr<Decoder>> steps;
    for (const Json& step : list)
      if (auto made = make_decoder(step, str(where, "[", steps.size(), "]"))) steps.push_back(std::move(made));
    return std::make_unique<DecoderSequence>(std::move(steps));
  }
  fail(Code::bad_input, where + ": type", "a decoder that is known here", quote(type));
}

}  // namespace dept
