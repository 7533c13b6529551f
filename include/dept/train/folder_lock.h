// One run a folder: who writes in output_dir holds its .lock.
#pragma once

#include <optional>
#include <vector>

#include "dept/base/file_lock.h"

namespace dept {

/// Held until it is destroyed, or the process ends. The file says who holds it; one that a killed process left keeps nobody out.
class FolderLock {
 public:
  /// Locks the folder if it is there and can be written in. Throws io naming process, host and time when another holds it.
  explicit FolderLock(fs::path folder);
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  /// Makes the folder, and those above it, where it is not there, and locks it. What is still empty in the end is removed again.
  /// Throws io.
  void make_folder();

 private:
  void hold();

  fs::path folder_;
  std::optional<FileLock> lock_;
  std::vector<fs::path> made_;  // innermost first
};

}  // namespace dept
