#include "dept/train/folder_lock.h"

#include <unistd.h>

#include <array>
#include <ctime>
#include <thread>

#include "dept/base/error.h"
#include "dept/base/folder.h"
#include "dept/base/text.h"
#include "dept/base/unfinished.h"

namespace dept {
namespace {

constexpr const char* lock_name = ".lock";

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "a host without a name";
}

std::string this_process() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::array<char, 64> time{};
  const size_t size = std::strftime(time.data(), time.size(), "%Y-%m-%d %H:%M:%S UTC", &utc);
  return str("process ", ::getpid(), " on ", host_name(), " since ", std::string_view(time.data(), size));
}

// What the holder wrote; it may not have come to that yet.
std::string holder(const fs::path& path) {
  for (int i = 0; i < 10; ++i) {
    try {
      if (const std::string text(strip(read_file(path, 1 << 12))); !text.empty()) return quote(text, 400);
    } catch (const Error&) {
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return "another process";
}

}  // namespace

FolderLock::FolderLock(fs::path folder) : folder_(std::move(folder)) {
  std::error_code error;
  if (fs::is_directory(folder_, error) && can_make_folder(folder_)) hold();
}

FolderLock::~FolderLock() {
  std::error_code ignored;
  const fs::path path = folder_ / lock_name;
  if (lock_) forget_unfinished(path);
  if (lock_ && lock_->is_at(path)) fs::remove(path, ignored);  // the folder may have been moved, and another have its name
  for (const fs::path& folder : made_)
    if (!fs::remove(folder, ignored)) return;  // it has something in it
}

void FolderLock::make_folder() {
  std::error_code error;
  for (fs::path missing = fs::absolute(folder_, error); !fs::exists(missing, error); missing = missing.parent_path())
    if (missing.has_filename()) made_.push_back(missing);
  require_writable_folder(folder_);
  if (!lock_) hold();
}

void FolderLock::hold() {
  const fs::path path = folder_ / lock_name;
  lock_ = FileLock::try_lock(path);
  if (!lock_) fail(Code::io, folder_.string(), "a folder that no other run writes in", str("one held by ", holder(path)));
  note_unfinished(path);
  try {
    if (::ftruncate(lock_->descriptor(), 0) == 0) write_all(lock_->descriptor(), this_process() + "\n", path.string());
  } catch (const Error&) {  // a full disk: the lock holds without a name
  }
}

}  // namespace dept
