#include "dept/base/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "dept/base/error.h"

namespace dept {
namespace {

constexpr mode_t lock_mode = 0664;  // as Python's filelock makes them, for users that share a folder

bool without_locks(int reason) {
  return reason == ENOSYS || reason == ENOLCK || reason == ENOTSUP;
}

}  // namespace

std::optional<FileLock> FileLock::try_lock(const fs::path& path) {
  for (;;) {
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, lock_mode);
    if (descriptor < 0) fail(Code::io, path.string(), "a lock file that can be written", std::strerror(errno));
    FileLock lock(descriptor);
    if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) {
      if (lock.is_at(path)) return lock;
      continue;  // its last holder has removed it meanwhile
    }
    if (errno == EINTR) continue;
    if (without_locks(errno)) return lock;
    if (errno == EWOULDBLOCK || errno == EACCES) return std::nullopt;
    fail(Code::io, path.string(), "a lock", std::strerror(errno));
  }
}

FileLock::FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

bool FileLock::is_at(const fs::path& path) const {
  struct stat open {
  }, named{};
  return ::fstat(descriptor_, &open) == 0 && ::stat(path.c_str(), &named) == 0 && open.st_ino == named.st_ino &&
         open.st_dev == named.st_dev;
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace dept
