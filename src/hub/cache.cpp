#include "hub/cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr mode_t lock_mode = 0664;  // as Python makes them, for users that share a cache

std::string folder_name(RepoKind kind, const std::string& name) {
  std::string out(kind == RepoKind::model ? "models" : "datasets");
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    out += "--" + name.substr(begin, end - begin);
    begin = end + 1;
  }
  return out;
}

// Without O_TRUNC and never unlinked, as `filelock` has it.
int open_lock(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, lock_mode);
  if (descriptor < 0) fail(Code::io, path.string(), "a lock file that can be written", std::strerror(errno));
  return descriptor;
}

}  // namespace

void make_folders(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail(Code::io, folder.string(), "a folder that can be made", error.message());
}

FileLock::FileLock(const fs::path& path, const std::string& what) {
  make_folders(path.parent_path());
  bool told = false;
  for (;;) {
    descriptor_ = open_lock(path);
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0) {
      struct stat status {};
      if (::fstat(descriptor_, &status) == 0 && status.st_nlink > 0) return;  // else its name went to another file meanwhile
    } else if (errno == ENOSYS || errno == ENOLCK || errno == ENOTSUP) {
      return;  // a file system without locks: a download of its own at worst, since a blob is renamed into place whole
    } else if (errno != EWOULDBLOCK && errno != EACCES && errno != EINTR) {
      const int reason = errno;
      ::close(std::exchange(descriptor_, -1));
      fail(Code::io, path.string(), "a lock", std::strerror(reason));
    }
    ::close(std::exchange(descriptor_, -1));
    if (!told) log::info(str("hub: another process fetches ", what, "; waiting for it"));
    told = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

RepositoryCache::RepositoryCache(const fs::path& root, RepoKind kind, const std::string& name)
    : folder_(fs::absolute(root) / folder_name(kind, name)), locks_(fs::absolute(root) / ".locks" / folder_name(kind, name)) {}

std::optional<std::string> RepositoryCache::commit_of(const std::string& revision) const {
  if (is_commit(revision)) return revision;
  const fs::path ref = folder_ / "refs" / revision;
  std::error_code error;
  if (!fs::is_regular_file(ref, error)) return std::nullopt;
  const std::string commit(strip(read_file(ref, 1 << 12)));
  return is_commit(commit) ? std::optional(commit) : std::nullopt;
}

std::optional<fs::path> RepositoryCache::find(const std::string& commit, const std::string& path) const {
  const fs::path pointer = snapshot(commit) / path;
  std::error_code error;
  return fs::is_regular_file(pointer, error) ? std::optional(pointer) : std::nullopt;
}

bool RepositoryCache::known_absent(const std::string& commit, const std::string& path) const {
  std::error_code error;
  return fs::exists(folder_ / ".no_exist" / commit / path, error);
}

void RepositoryCache::mark_absent(const std::string& commit, const std::string& path) const {
  const fs::path mark = folder_ / ".no_exist" / commit / path;
  make_folders(mark.parent_path());
  const int descriptor = ::open(mark.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor < 0) fail(Code::io, mark.string(), "a file that can be made", std::strerror(errno));
  ::close(descriptor);
}

void RepositoryCache::set_revision(const std::string& revision, const std::string& commit) const {
  if (commit_of(revision) == commit) return;
  const fs::path ref = folder_ / "refs" / revision;
  make_folders(ref.parent_path());
  write_atomic(ref, commit);
}

fs::path RepositoryCache::link(const std::string& commit, const std::string& path, const std::string& etag) const {
  fs::path pointer = snapshot(commit) / path;
  if (find(commit, path)) return pointer;
  make_folders(pointer.parent_path());
  const fs::path target = fs::path(blob(etag)).lexically_relative(pointer.parent_path());
  const fs::path made = pointer.parent_path() / str(".", pointer.filename().string(), ".tmp-", ::getpid());
  std::error_code error;
  fs::remove(made, error);
  fs::create_symlink(target, made, error);
  if (error) fs::copy_file(blob(etag), made, fs::copy_options::overwrite_existing, error);  // a file system without links
  if (!error) fs::rename(made, pointer, error);
  if (error) fail(Code::io, pointer.string(), "a link to the file's bytes", error.message());
  return pointer;
}

}  // namespace dept
