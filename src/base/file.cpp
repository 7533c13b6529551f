#include "dept/base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/base/unfinished.h"

namespace dept {
namespace {

std::string reason() {
  return std::strerror(errno);
}

// A file descriptor that closes itself.
class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags, std::string_view expected) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {
    if (fd_ < 0) fail(Code::io, path.string(), expected, reason());
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

// Without waiting for the other end of a named pipe, which is refused as soon as it is open.
constexpr int read_only = O_RDONLY | O_NONBLOCK;

uint64_t regular_size(const Descriptor& file, const fs::path& path) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) fail(Code::io, path.string(), "a readable file", reason());
  if (!S_ISREG(status.st_mode))
    fail(Code::io, path.string(), "a regular file", S_ISDIR(status.st_mode) ? "a folder" : "something else");
  return static_cast<uint64_t>(status.st_size);
}

void sync_path(const fs::path& path, int flags) {
  const Descriptor file(path, flags, "a path to sync");
  if (::fsync(file.get()) != 0 && errno != EINVAL) fail(Code::io, path.string(), "a successful sync", reason());
}

void rename_over(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) fail(Code::io, to.string(), "a writable path", reason());
}

fs::path parent_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

fs::path temporary_beside(const fs::path& path) {
  return parent_of(path) / str(".", path.filename().string(), ".tmp-", ::getpid());
}

}  // namespace

std::string read_file(const fs::path& path, uint64_t max_bytes) {
  const Descriptor file(path, read_only, "a readable file");
  const uint64_t size = regular_size(file, path);
  if (size > max_bytes) fail(Code::bad_input, path.string(), str("at most ", max_bytes, " bytes"), str(size));
  std::string bytes(size, '\0');
  for (uint64_t done = 0; done < size;) {
    const ssize_t count = ::read(file.get(), bytes.data() + done, size - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(Code::io, path.string(), "a readable file", reason());
    if (count == 0) {
      bytes.resize(done);
      break;
    }
    done += static_cast<uint64_t>(count);
  }
  return bytes;
}

void write_all(int descriptor, std::string_view bytes, std::string_view where) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(Code::io, where, "room to write", reason());
    bytes.remove_prefix(static_cast<size_t>(count));
  }
}

void write_atomic(const fs::path& path, std::string_view bytes) {
  AtomicFile file(path);
  file.append(bytes);
  file.commit();
}

AtomicFile::AtomicFile(const fs::path& path) : target_(path) {
  std::error_code error;
  if (fs::is_symlink(target_, error)) target_ = fs::weakly_canonical(target_, error);
  const fs::file_status status = fs::status(target_, error);
  if (!fs::is_other(status)) temporary_ = temporary_beside(target_);
  if (!temporary_.empty()) note_unfinished(temporary_);
  const fs::path& opened = temporary_.empty() ? target_ : temporary_;
  descriptor_ = ::open(opened.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor_ >= 0) return;
  const std::string why = reason();
  if (!temporary_.empty()) forget_unfinished(temporary_);
  fail(Code::io, path.string(), "a writable path", why);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (temporary_.empty()) return;
  ::unlink(temporary_.c_str());
  forget_unfinished(temporary_);
}

void AtomicFile::append(std::string_view bytes) {
  write_all(descriptor_, bytes, target_.string());
}

void AtomicFile::commit() {
  if (temporary_.empty()) return;
  if (::fsync(descriptor_) != 0) fail(Code::io, target_.string(), "a successful sync", reason());
  rename_over(temporary_, target_);
  forget_unfinished(temporary_);
  temporary_.clear();
  sync_path(parent_of(target_), O_RDONLY | O_DIRECTORY);
}

void require_writable_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) fail(Code::io, path.string(), "a folder that can be made", error.message());
  const fs::path probe = path / str(".writable-", ::getpid());
  { const Descriptor file(probe, O_WRONLY | O_CREAT, "a writable folder"); }
  ::unlink(probe.c_str());
}

void require_readable_file(const fs::path& path, std::string_view what) {
  try {
    const Descriptor file(path, read_only, "a readable file");
    regular_size(file, path);
  } catch (const Error& error) {
    throw Error(error.code(), str(what, ": ", error.what()));
  }
}

AtomicFolder::AtomicFolder(fs::path target)
    : target_(target.has_filename() ? std::move(target) : target.parent_path()), temporary_(temporary_beside(target_)) {
  std::error_code error;
  fs::remove_all(temporary_, error);
  fs::create_directories(temporary_, error);
  if (error) fail(Code::io, temporary_.string(), "a folder that can be made", error.message());
}

AtomicFolder::~AtomicFolder() {
  std::error_code ignored;
  fs::remove_all(temporary_, ignored);
}

void AtomicFolder::commit() {
  for (const auto& entry : fs::recursive_directory_iterator(temporary_))
    sync_path(entry.path(), entry.is_directory() ? O_RDONLY | O_DIRECTORY : O_RDONLY);
  sync_path(temporary_, O_RDONLY | O_DIRECTORY);
  // An existing target changes places with the new folder in one step, so that at each moment one whole folder has the name.
  std::error_code ignored;
  fs::path old = temporary_;
  if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, target_.c_str(), RENAME_EXCHANGE) != 0) {
    const bool cannot_exchange = errno == EINVAL || errno == ENOSYS || errno == ENOTSUP;  // a file system without it
    if (!cannot_exchange && errno != ENOENT) fail(Code::io, target_.string(), "a folder that can be replaced", reason());
    old += ".old";
    if (cannot_exchange && fs::exists(target_)) rename_over(target_, old);
    rename_over(temporary_, target_);
  }
  fs::remove_all(old, ignored);
  sync_path(parent_of(target_), O_RDONLY | O_DIRECTORY);
}

MappedFile::MappedFile(const fs::path& path) : path_(path) {
  const Descriptor file(path, read_only, "a readable file");
  size_ = regular_size(file, path);
  if (size_ == 0) return;
  void* map = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (map == MAP_FAILED) fail(Code::io, path.string(), "a file that can be mapped", reason());
  data_ = static_cast<const std::byte*>(map);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::drop(size_t offset, size_t size) const {
  static const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t begin = (offset + page - 1) / page * page, end = (offset + size) / page * page;
  if (data_ != nullptr && begin < end && end <= size_)
    ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

}  // namespace dept
