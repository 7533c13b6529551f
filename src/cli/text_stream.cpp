#include "cli/text_stream.h"

#include <algorithm>

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

}  // namespace

size_t find_stop(std::string_view text, const std::vector<std::string>& stops) {
  size_t first = std::string_view::npos;
  for (const std::string& stop : stops) first = std::min(first, text.find(stop));
  return first;
}

std::string TextStream::add(int64_t id) {
  ids_.push_back(id);
  text_ = tokenizer_.decode(ids_);
  if (const size_t stop = find_stop(text_, stops_); stop != std::string::npos) {
    stopped_ = true;
    return give(stop);
  }
  std::string_view certain = text_;
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
