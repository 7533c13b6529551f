#include "hub/cache.h"

#include <fcntl.h>
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

std::string folder_name(RepoKind kind, const std::string& name) {
  std::string out(kind == RepoKind::model ? "models" : "datasets");
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    out += "--" + name.substr(begin, end - begin);
    begin = end + 1;
  }
  return out;
}

}  // namespace

void make_folders(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail(Code::io, folder.string(), "a folder that can be made", error.message());
}

FileLock wait_for_lock(const fs::path& path, const std::string& what) {
  make_folders(path.parent_path());
  for (bool told = false;; told = true) {
    if (std::optional<FileLock> lock = FileLock::try_lock(path)) return std::move(*lock);
    if (!told) log::info(str("hub: another process fetches ", what, "; waiting for it"));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
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
