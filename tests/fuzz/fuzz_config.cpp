#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

#include "dept/base/error.h"
#include "dept/models/backbone.h"

namespace {

// A model's folder whose config.json is a link to a file in memory.
struct Folder {
  Folder() {
    if (::mkdtemp(name.data()) == nullptr || fd < 0) std::abort();
    dept::fs::create_symlink("/proc/self/fd/" + std::to_string(fd), dept::fs::path(name) / "config.json");
  }
  ~Folder() { dept::fs::remove_all(name); }
  std::string name = (dept::fs::temp_directory_path() / "dept-fuzz-XXXXXX").string();
  int fd = ::memfd_create("config.json", MFD_CLOEXEC);
};

}  // namespace

// A config.json of any bytes describes a model or is refused with an Error.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Folder folder;
  if (::ftruncate(folder.fd, 0) != 0 || ::pwrite(folder.fd, data, size, 0) != static_cast<ssize_t>(size)) std::abort();
  try {
    dept::read_model_info(folder.name);
  } catch (const dept::Error&) {
  }
  return 0;
}
