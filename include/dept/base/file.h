// Files: whole reads with a size limit, read-only maps, and writes that are there in full or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace dept {

namespace fs = std::filesystem;

/// The file's bytes. Throws io when it cannot be read, bad_input when it is larger than `max_bytes`.
std::string read_file(const fs::path& path, uint64_t max_bytes = uint64_t{1} << 30);

/// Writes to a temporary name beside `path`, syncs, renames over `path`, syncs the folder. Throws io.
void write_atomic(const fs::path& path, std::string_view bytes);

/// Writes all of `bytes` to an open descriptor; `where` names it in errors. Throws io.
void write_all(int descriptor, std::string_view bytes, std::string_view where);

/// A file written piece by piece under a temporary name beside `path` and renamed to it by commit(); without commit nothing is
/// left. A device or a pipe is written directly, and a symbolic link is followed.
class AtomicFile {
 public:
  explicit AtomicFile(const fs::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void append(std::string_view bytes);
  void commit();

 private:
  fs::path target_;
  fs::path temporary_;  // empty: the target itself is open
  int descriptor_ = -1;
};

/// Creates the folder (and parents) if need be and proves that a file can be written in it. Throws io.
void require_writable_folder(const fs::path& path);

/// Throws io unless `path` is a readable regular file; `what` names its role in the message ("train_file").
void require_readable_file(const fs::path& path, std::string_view what);

/// SHA-256 as 64 lower-case hex digits.
std::string sha256_hex(std::span<const std::byte> bytes);

/// A folder built under a temporary name and renamed to `target` by commit(); without commit nothing is left.
class AtomicFolder {
 public:
  explicit AtomicFolder(fs::path target);
  ~AtomicFolder();
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  const fs::path& path() const { return temporary_; }
  /// Syncs every file, then renames; an existing target is replaced.
  void commit();

 private:
  fs::path target_;
  fs::path temporary_;
};

/// A read-only memory map of a whole file.
class MappedFile {
 public:
  explicit MappedFile(const fs::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const fs::path& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  /// Lets the kernel take back the pages of [offset, offset + size); they are read again from the file when touched.
  void drop(size_t offset, size_t size) const;

 private:
  fs::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace dept
