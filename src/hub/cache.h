// The cache folder as Python's huggingface_hub lays it out:
//   {models|datasets}--org--name/blobs/ETAG                     the bytes
//                               /snapshots/COMMIT/path          a relative link to them
//                               /refs/REVISION                  the commit that a branch or tag stood at
//                               /.no_exist/COMMIT/path          a file that the commit does not have
//   .locks/{models|datasets}--org--name/ETAG.lock               flock'ed while a blob is made
#pragma once

#include <optional>
#include <string>

#include "dept/base/file_lock.h"
#include "hub/names.h"

namespace dept {

/// A lock that excludes Python's `filelock` too. Waits for whoever has it; `what` names the wait in the log. Throws io.
FileLock wait_for_lock(const fs::path& path, const std::string& what);

class RepositoryCache {
 public:
  RepositoryCache(const fs::path& root, RepoKind kind, const std::string& name);

  fs::path snapshot(const std::string& commit) const { return folder_ / "snapshots" / commit; }
  fs::path blob(const std::string& etag) const { return folder_ / "blobs" / etag; }
  fs::path lock(const std::string& etag) const { return locks_ / (etag + ".lock"); }
  /// `revision` itself when it is a commit, else what its ref says; absent when that is nothing.
  std::optional<std::string> commit_of(const std::string& revision) const;
  /// The snapshot's path of a file that is there.
  std::optional<fs::path> find(const std::string& commit, const std::string& path) const;
  bool known_absent(const std::string& commit, const std::string& path) const;

  /// These write, and throw io.
  void mark_absent(const std::string& commit, const std::string& path) const;
  void set_revision(const std::string& revision, const std::string& commit) const;
  fs::path link(const std::string& commit, const std::string& path, const std::string& etag) const;

 private:
  fs::path folder_, locks_;
};

/// Makes the folder and those above it. Throws io.
void make_folders(const fs::path& folder);

}  // namespace dept
