// Digests of bytes and of files.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "dept/base/file.h"

namespace dept {

/// A digest of bytes that come piece by piece.
class Digest {
 public:
  enum class Kind { sha256, sha1 };
  explicit Digest(Kind kind = Kind::sha256);
  ~Digest();
  Digest(Digest&&) noexcept;

  void add(std::span<const std::byte> bytes);
  void add(std::string_view text);
  /// Lower-case hex digits, 64 or 40. It is the last that can be asked of the object.
  std::string hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Adds a file's bytes, read in pieces. Throws io.
void add_file(Digest& digest, const fs::path& path);

/// SHA-256 of a file's size and bytes; of a file over 16 MiB not of all of them but of its first MiB, its last 64 KiB and 256
/// pages in between at equal distances: whether it is the same, at a cost that its size does not raise. Throws io.
std::string sampled_sha256(const fs::path& path);

}  // namespace dept
