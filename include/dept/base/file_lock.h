// Files that say to other processes that something is in use.
#pragma once

#include <optional>

#include "dept/base/file.h"

namespace dept {

/// An exclusive flock on a file that is made for it. The kernel frees it when the process ends, however it ends. On a file system
/// without locks it keeps nobody out.
class FileLock {
 public:
  /// Nothing where another process holds it. Throws io when the file cannot be made or locked.
  static std::optional<FileLock> try_lock(const fs::path& path);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();

  /// Whether the locked file still has this name.
  bool is_at(const fs::path& path) const;
  int descriptor() const { return descriptor_; }

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace dept
