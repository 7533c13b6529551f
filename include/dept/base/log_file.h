// Log files, of which one at a time gets the lines of log.h.
#pragma once

#include <memory>

#include "dept/base/file.h"

namespace dept::log {

struct FileSink;

/// A file that gets lines, with time stamps, while it is in use (appending). Throws io.
class File {
 public:
  explicit File(const fs::path& path);
  ~File();

 private:
  friend class Using;
  std::unique_ptr<FileSink> sink_;
};

/// Sends lines to `file` as well for as long as it lives, in the place of the file that was in use; null changes nothing. The
/// file outlives it.
class Using {
 public:
  explicit Using(const File* file);
  ~Using();
  Using(const Using&) = delete;
  Using& operator=(const Using&) = delete;

 private:
  const FileSink* before_;
};

}  // namespace dept::log
