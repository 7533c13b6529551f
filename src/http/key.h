// The key that requests have to show.
#pragma once

#include <string>
#include <string_view>

namespace dept::http {

class Key {
 public:
  /// "": every request is let in.
  explicit Key(std::string_view key);

  /// Whether an Authorization header shows it, as `Bearer KEY` or, from a browser, as the password of Basic. The time it takes
  /// does not depend on how much of it is right.
  bool opens(std::string_view authorization) const;

 private:
  std::string digest_;
};

/// Base64's bytes; "" for what is none.
std::string decode_base64(std::string_view text);

}  // namespace dept::http
