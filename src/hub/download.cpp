#include "hub/download.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "dept/base/digest.h"
#include "dept/base/log.h"
#include "dept/base/progress.h"
#include "dept/base/text.h"
#include "hub/cache.h"
#include "hub/names.h"

namespace dept {
namespace {

constexpr uint64_t progress_bytes = uint64_t{1} << 20;     ///< an attempt that gets so much further begins the count anew
constexpr uint64_t shown_bytes = 1000000;                  ///< smaller files come without a progress line
constexpr uint64_t most_untold_bytes = uint64_t{1} << 30;  ///< of a file whose size nobody tells

// BLOB.incomplete, the name that huggingface_hub gave it before it stopped to go on with such files.
class Incomplete {
 public:
  explicit Incomplete(fs::path path) : path_(std::move(path)) {
    descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (descriptor_ < 0) fail(Code::io, path_.string(), "a file that can be written", std::strerror(errno));
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode))
      fail(Code::io, path_.string(), "a regular file", "something else");
    size_ = static_cast<uint64_t>(status.st_size);
  }
  ~Incomplete() { ::close(descriptor_); }
  Incomplete(const Incomplete&) = delete;
  Incomplete& operator=(const Incomplete&) = delete;

  uint64_t size() const { return size_; }
  const fs::path& path() const { return path_; }

  void clear() {
    if (::ftruncate(descriptor_, 0) != 0) fail(Code::io, path_.string(), "a file that can be cut", std::strerror(errno));
    size_ = 0;
  }
  void append(std::string_view bytes) {
    if (::lseek(descriptor_, static_cast<off_t>(size_), SEEK_SET) < 0)
      fail(Code::io, path_.string(), "a file that can be written", std::strerror(errno));
    write_all(descriptor_, bytes, path_.string());
    size_ += bytes.size();
  }
  void rename_to(const fs::path& blob) {
    if (::fsync(descriptor_) != 0) fail(Code::io, path_.string(), "a successful sync", std::strerror(errno));
    if (::rename(path_.c_str(), blob.c_str()) != 0) fail(Code::io, blob.string(), "a writable path", std::strerror(errno));
    const int folder = ::open(blob.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return;
    ::fsync(folder);
    ::close(folder);
  }

 private:
  fs::path path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

void require_room(const fs::path& folder, uint64_t bytes) {
  std::error_code error;
  const fs::space_info space = fs::space(folder, error);
  if (!error && space.available < bytes)
    fail(Code::io, folder.string(), str(bytes, " bytes of room (HF_HUB_CACHE or --cache_dir names another folder)"),
         str(space.available));
}

// Whether a 206 begins at byte `from`: "bytes 100-199/200".
bool begins_at(const HttpResponse& response, uint64_t from) {
  return response.header("content-range").rfind(str("bytes ", from, "-"), 0) == 0;
}

// One attempt; what came stays in `part`. A server that does not go on where we stopped makes it start over.
HttpResponse attempt(HttpClient& client, const std::string& url, const FileMetadata& file, Incomplete& part,
                     std::optional<Progress>& progress) {
  const auto restart = [&] {
    if (progress) progress->advance(-static_cast<int64_t>(part.size()));
    part.clear();
  };
  const auto begin = [&](const HttpResponse& response) {
    if (response.status == 206 ? !begins_at(response, part.size()) : part.size() > 0) restart();
    if (response.status == 206 && !begins_at(response, part.size()))
      throw Unreachable(url, str("bytes from ", part.size(), " on"), quote(response.header("content-range")));
  };
  const auto receive = [&](std::string_view bytes) {
    const uint64_t most = file.size.value_or(most_untold_bytes);
    if (part.size() + bytes.size() > most) {
      restart();
      throw Unreachable(url, str(file.size ? "" : "at most ", most, " bytes"), "more");
    }
    part.append(bytes);
    if (progress) progress->advance(static_cast<int64_t>(bytes.size()));
  };
  HttpResponse response = client.download(url, part.size(), begin, receive);
  if (response.status == 416) restart();  // there is nothing behind what we have: it cannot be the file's beginning
  return response;
}

// Until the size is right. What was fetched before and is fetched once more is no progress: a server whose sizes lie makes us
// begin anew again and again.
void fetch_all(HttpClient& client, const std::string& url, const FileMetadata& file, Incomplete& part,
               std::optional<Progress>& progress, Backoff& backoff) {
  for (uint64_t furthest = part.size();;) {
    HttpResponse response;
    std::optional<Unreachable> trouble;
    try {
      response = attempt(client, url, file, part, progress);
      if (response.ok() && (!file.size || part.size() == *file.size)) return;
      if (!response.ok() && !response.passing() && response.status != 416) throw Refused(response);
      trouble.emplace(url, response.ok() ? str(*file.size, " bytes") : "a file",
                      str(response.ok() ? part.size() : response.status));
    } catch (const Unreachable& error) {
      if (file.size && part.size() == *file.size) return;  // the trouble came behind the last byte
      trouble = error;
    }
    if (part.size() >= furthest + progress_bytes) backoff.reset();
    furthest = std::max(furthest, part.size());
    if (backoff.wait(&response, trouble->what())) continue;
    if (response.passing()) throw Refused(response);
    throw Unreachable(*trouble);
  }
}

}  // namespace

std::optional<Mismatch> verify_file(const fs::path& path, const FileMetadata& file) {
  const uint64_t size = fs::file_size(path);
  if (file.size && size != *file.size) return Mismatch{str(*file.size, " bytes"), str(size)};
  const bool sha256 = file.etag.size() == 64;
  if (!is_commit(file.etag) || (!sha256 && file.etag.size() != 40)) return std::nullopt;
  // git names a file by the sha1 of "blob SIZE", a zero byte and its content
  Digest content(sha256 ? Digest::Kind::sha256 : Digest::Kind::sha1);
  if (!sha256) content.add(str("blob ", size) + std::string(1, '\0'));
  add_file(content, path);
  const std::string digest = content.hex();
  if (digest == file.etag) return std::nullopt;
  return Mismatch{str("bytes whose ", sha256 ? "sha256" : "git sha1", " is ", file.etag), digest};
}

void download_blob(HttpClient& client, const HubOptions& options, const std::string& url, const FileMetadata& file,
                   const fs::path& blob, const std::string& title) {
  std::error_code error;
  if (fs::exists(blob, error)) return;
  make_folders(blob.parent_path());
  Backoff backoff(options);
  for (int tries = 0;; ++tries) {
    std::optional<Mismatch> wrong;
    {
      Incomplete part(fs::path(blob) += ".incomplete");
      if (file.size && part.size() > *file.size) part.clear();
      if (file.size) require_room(blob.parent_path(), *file.size - part.size());
      const auto total = static_cast<int64_t>(file.size.value_or(0)), start = static_cast<int64_t>(part.size());
      if (start > 0) log::info(str("hub: ", title, ": going on from byte ", start));
      std::optional<Progress> progress;
      if (file.size.value_or(shown_bytes) >= shown_bytes) progress.emplace(title, total, start, ProgressUnit::bytes);
      if (!file.size || part.size() < *file.size) fetch_all(client, url, file, part, progress, backoff);
      wrong = verify_file(part.path(), file);
      if (!wrong) {
        part.rename_to(blob);
        return;
      }
      part.clear();
    }
    fs::remove(fs::path(blob) += ".incomplete", error);
    if (tries > 0) fail(Code::io, url, wrong->expected, wrong->received + ", twice");
    log::warn(str("hub: [", url, "] expected ", wrong->expected, ", received ", wrong->received, "; fetching it anew"));
  }
}

}  // namespace dept
