#include "dept/text/text_stream.h"

#include <algorithm>
#include <span>

namespace dept {
namespace {

constexpr std::string_view broken = "\xEF\xBF\xBD";  // U+FFFD: bytes of a character whose others may still come

// How many bytes at the end of `text` may be the beginning of a stop text.
size_t begun_stop(std::string_view text, const std::vector<std::string>& stops) {
  size_t longest = 0;
  for (const std::string& stop : stops)
    for (size_t length = std::min(stop.size() - 1, text.size()); length > longest; --length)
      if (text.ends_with(std::string_view(stop).substr(0, length))) longest = length;
  return longest;
}

// "<0x0A>", a byte of a tokenizer that falls back to bytes.
bool is_byte(std::string_view token) {
  return token.size() == 6 && token.starts_with("<0x") && token.ends_with('>');
}

}  // namespace

size_t find_stop(std::string_view text, const std::vector<std::string>& stops) {
  size_t first = std::string_view::npos;
  for (const std::string& stop : stops) first = std::min(first, text.find(stop));
  return first;
}

std::string TextStream::add(int64_t id) {
  if (tokenizer_.contains(id)) ids_.push_back(id);
  text_ = tokenizer_.decode(ids_);
  if (const size_t stop = find_stop(text_, stops_); stop != std::string::npos) {
    stopped_ = true;
    return give(stop);
  }
  std::string_view certain = text_;
  // Bytes in a row are text, or U+FFFD each when the last of them spoils it: until they end nothing of them is certain.
  size_t settled = ids_.size();
  while (settled > 0 && is_byte(tokenizer_.id_to_token(ids_[settled - 1]))) --settled;
  if (settled < ids_.size()) certain = certain.substr(0, tokenizer_.decode(std::span(ids_).first(settled)).size());
  while (certain.ends_with(broken)) certain.remove_suffix(broken.size());
  return give(certain.size() - begun_stop(certain, stops_));
}

std::string TextStream::finish() {
  return stopped_ ? "" : give(text_.size());
}

std::string TextStream::give(size_t end) {
  if (end <= given_) return "";
  const std::string part = text_.substr(given_, end - given_);
  given_ = end;
  return part;
}

}  // namespace dept
