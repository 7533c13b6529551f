#include "dept/base/digest.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr uint64_t piece = uint64_t{1} << 20;
constexpr uint64_t whole_below = uint64_t{16} << 20, front = uint64_t{1} << 20, back = uint64_t{1} << 16;
constexpr uint64_t samples = 256, sample_bytes = 4096;

void require(bool done) {
  if (!done) fail(Code::bug, "digest", "a digest", "an OpenSSL error");
}

// An open file to take stretches of.
class Stretches {
 public:
  explicit Stretches(const fs::path& path) : path_(path), descriptor_(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)) {
    struct stat status {};
    if (descriptor_ < 0 || ::fstat(descriptor_, &status) != 0) fail_unreadable();
    size_ = static_cast<uint64_t>(status.st_size);
  }
  ~Stretches() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Stretches(const Stretches&) = delete;
  Stretches& operator=(const Stretches&) = delete;

  uint64_t size() const { return size_; }

  /// What of [begin, begin + count) the file has.
  void add(Digest& digest, uint64_t begin, uint64_t count) {
    buffer_.resize(std::min(count, piece));
    for (const uint64_t end = begin + count; begin < end;) {
      const ssize_t got = ::pread(descriptor_, buffer_.data(), std::min(end - begin, piece), static_cast<off_t>(begin));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) fail_unreadable();
      if (got == 0) return;
      digest.add(std::span(buffer_).first(static_cast<size_t>(got)));
      begin += static_cast<uint64_t>(got);
    }
  }

 private:
  [[noreturn]] void fail_unreadable() const { fail(Code::io, path_.string(), "a readable file", std::strerror(errno)); }

  const fs::path path_;
  int descriptor_;
  uint64_t size_ = 0;
  std::vector<std::byte> buffer_;
};

}  // namespace

struct Digest::State {
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context{EVP_MD_CTX_new(), EVP_MD_CTX_free};
};

Digest::Digest(Kind kind) : state_(std::make_unique<State>()) {
  require(state_->context &&
          EVP_DigestInit_ex(state_->context.get(), kind == Kind::sha1 ? EVP_sha1() : EVP_sha256(), nullptr) == 1);
}
Digest::~Digest() = default;
Digest::Digest(Digest&&) noexcept = default;

void Digest::add(std::span<const std::byte> bytes) {
  require(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()) == 1);
}

void Digest::add(std::string_view text) {
  add(std::as_bytes(std::span(text)));
}

std::string Digest::hex() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  require(EVP_DigestFinal_ex(state_->context.get(), digest, &size) == 1);
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (unsigned int i = 0; i < size; ++i) {
    text += digits[digest[i] >> 4];
    text += digits[digest[i] & 15];
  }
  return text;
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  Digest digest;
  digest.add(bytes);
  return digest.hex();
}

void add_file(Digest& digest, const fs::path& path) {
  Stretches file(path);
  file.add(digest, 0, file.size());
}

std::string sampled_sha256(const fs::path& path) {
  Stretches file(path);
  Digest digest;
  digest.add(str(file.size(), " bytes:"));
  if (file.size() <= whole_below) {
    file.add(digest, 0, file.size());
    return digest.hex();
  }
  file.add(digest, 0, front);
  for (uint64_t i = 1; i <= samples; ++i) file.add(digest, file.size() / (samples + 1) * i, sample_bytes);
  file.add(digest, file.size() - back, back);
  return digest.hex();
}

}  // namespace dept
