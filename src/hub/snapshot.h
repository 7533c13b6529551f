// One revision of a repository, file by file: from the cache where it has them, else from the endpoint.
#pragma once

#include <optional>
#include <string>

#include "hub/cache.h"
#include "hub/download.h"
#include "hub/http.h"

namespace dept {

struct Repository {
  RepoKind kind;
  std::string name, revision;

  std::string label() const { return (kind == RepoKind::model ? "hub: " : "hub: datasets/") + name; }
};

class Snapshot {
 public:
  /// Throws usage for an impossible name or revision.
  Snapshot(const HubOptions& options, Repository repository);

  /// Asks the endpoint for `path` alone; absent when the commit has no such file, which is remembered unless `quick`. From the
  /// first answer on the commit is fixed. Throws io: Unreachable, or with the remedy in plain words.
  std::optional<FileMetadata> look(const std::string& path, bool quick);
  /// Whether `path` is there, or may be later, by one quick question; no for a commit without it. Throws io as look.
  bool probe(const std::string& path);
  /// The file, in the cache; absent when the commit has none. Throws as look, or io.
  std::optional<fs::path> fetch(const std::string& path);
  /// What fetch would return, by the cache alone and for the commit that it knows the revision by; absent as well when it cannot
  /// know.
  std::optional<fs::path> cached(const std::string& path) const;
  /// Whether the cache knows that its commit has no such file.
  bool known_absent(const std::string& path) const { return cached_commit_ && cache_.known_absent(*cached_commit_, path); }

  /// Once look or fetch has found it.
  fs::path folder() const { return cache_.snapshot(commit_); }
  std::optional<fs::path> cached_folder() const;
  HttpClient& client() { return client_; }
  /// The commit's hash becomes what the cache knows the revision by.
  void keep_revision() const;
  /// Throws io in plain words for an answer that is not what was asked for.
  [[noreturn]] void refuse(const HttpResponse& response, const std::string& path) const;
  /// Throws io "... or at the endpoint, received <why>", with what a user can do.
  [[noreturn]] void fail_unreached(const std::string& why) const;

 private:
  std::string address(const std::string& path) const;
  FileMetadata read_metadata(const HttpResponse& response) const;

  const HubOptions& options_;
  Repository repository_;
  RepositoryCache cache_;
  HttpClient client_;
  std::optional<std::string> cached_commit_;
  std::string commit_;  ///< "" until an answer has told it
};

}  // namespace dept
