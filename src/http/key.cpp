#include "http/key.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <boost/beast/core/string.hpp>
#include <vector>

#include "dept/base/digest.h"
#include "dept/base/text.h"

namespace dept::http {
namespace {

// Digests are of one length, so that comparing them tells nothing of the key's.
std::string digest_of(std::string_view text) {
  Digest digest;
  digest.add(text);
  return digest.hex();
}

// The key that a header holds, "" for none.
std::string shown_key(std::string_view authorization) {
  const std::string_view value = strip(authorization);
  const size_t space = std::min(value.find(' '), value.size());
  const boost::beast::string_view scheme(value.data(), space);
  const std::string_view rest = strip(value.substr(space));
  if (boost::beast::iequals(scheme, "Bearer")) return std::string(rest);
  if (!boost::beast::iequals(scheme, "Basic")) return "";
  const std::string pair = decode_base64(rest);
  const size_t colon = pair.find(':');
  return colon == std::string::npos ? "" : pair.substr(colon + 1);
}

}  // namespace

std::string decode_base64(std::string_view text) {
  static constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  std::string bytes;
  unsigned held = 0, bits = 0;
  for (const char c : text) {
    const size_t digit = digits.find(c);
    if (digit == std::string_view::npos) return "";
    held = (held << 6 | static_cast<unsigned>(digit)) & 0xFFFFFFu;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push_back(static_cast<char>(held >> bits & 0xFFu));
  }
  return bytes;
}

Key::Key(std::string_view key) : digest_(key.empty() ? "" : digest_of(key)) {}

bool Key::opens(std::string_view authorization) const {
  if (digest_.empty()) return true;
  const std::string shown = digest_of(shown_key(authorization));
  return CRYPTO_memcmp(shown.data(), digest_.data(), digest_.size()) == 0;
}

}  // namespace dept::http
