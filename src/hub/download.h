// A blob of the cache: fetched beside its name, gone on with after an interruption, verified, then renamed.
#pragma once

#include <optional>
#include <string>

#include "hub/http.h"

namespace dept {

/// What a HEAD says of a file.
struct FileMetadata {
  std::string commit, etag;
  std::optional<uint64_t> size;
};

/// An answer that is no file and will be none.
class Refused : public Error {
 public:
  explicit Refused(HttpResponse answer)
      : Error(Code::io, "[" + answer.url + "] expected a file, received " + std::to_string(answer.status)),
        response(std::move(answer)) {}
  HttpResponse response;
};

/// Fetches `url` to `blob` unless it is there. The caller holds the blob's lock. Throws io for a disk or a network that fails and
/// for bytes that are not what `file` says, twice; Refused for an answer that is no file.
void download_blob(HttpClient& client, const HubOptions& options, const std::string& url, const FileMetadata& file,
                   const fs::path& blob, const std::string& title);

struct Mismatch {
  std::string expected, received;
};

/// What is wrong with the file's size or its bytes by its tag: 64 hex digits are its sha256, 40 git's sha1 of it as a blob,
/// others say nothing.
std::optional<Mismatch> verify_file(const fs::path& path, const FileMetadata& file);

}  // namespace dept
