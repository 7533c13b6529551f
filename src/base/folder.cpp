#include "dept/base/folder.h"

#include <unistd.h>

namespace dept {

fs::path nearest_folder(const fs::path& path) {
  std::error_code error;
  fs::path there = fs::absolute(path, error);
  while (!fs::exists(there, error) && there != there.parent_path()) there = there.parent_path();
  return there;
}

bool can_make_folder(const fs::path& path) {
  const fs::path there = nearest_folder(path);
  std::error_code error;
  return fs::is_directory(there, error) && ::access(there.c_str(), W_OK | X_OK) == 0;
}

}  // namespace dept
