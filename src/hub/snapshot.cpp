#include "hub/snapshot.h"

#include <charconv>

#include "dept/base/error.h"
#include "dept/base/folder.h"
#include "dept/base/log.h"
#include "dept/base/text.h"

namespace dept {
namespace {

std::optional<uint64_t> number_in(const std::string& text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

std::string_view local_files(RepoKind kind) {
  return kind == RepoKind::model ? "--model_name_or_path FOLDER takes a model on disk, --peft_model_id FOLDER an adapter"
                                 : "--train_file, --validation_file and --test_file take files on disk";
}

}  // namespace

Snapshot::Snapshot(const HubOptions& options, Repository repository)
    : options_(options),
      repository_(std::move(repository)),
      cache_(options.cache, repository_.kind, repository_.name),
      client_(options) {
  require_repository(repository_.name);
  require_revision(repository_.revision);
  cached_commit_ = cache_.commit_of(repository_.revision);
}

// By the commit once it is known, so that all files are of one.
std::string Snapshot::address(const std::string& path) const {
  return str(options_.endpoint, repository_.kind == RepoKind::dataset ? "/datasets/" : "/", repository_.name, "/resolve/",
             escaped(commit_.empty() ? repository_.revision : commit_, false), "/", escaped(path, true));
}

FileMetadata Snapshot::read_metadata(const HttpResponse& response) const {
  FileMetadata file;
  file.commit = response.header("x-repo-commit");
  const std::string& linked = response.header("x-linked-etag");
  file.etag = plain_etag(linked.empty() ? response.header("etag") : linked);
  const std::string& size = response.header("x-linked-size");
  // A redirect's own length is not the file's.
  file.size = number_in(!size.empty() ? size : response.ok() ? response.header("content-length") : "");
  if (!is_commit(file.commit))
    fail(Code::io, response.url, "a hub's answer with X-Repo-Commit (HF_ENDPOINT, proxies and log-in pages may be the reason)",
         file.commit.empty() ? "none" : quote(file.commit));
  if (!is_etag(file.etag)) fail(Code::io, response.url, "an ETag that names the file's content", quote(file.etag));
  if (!commit_.empty() && file.commit != commit_) fail(Code::io, response.url, str("commit ", commit_), file.commit);
  return file;
}

std::optional<FileMetadata> Snapshot::look(const std::string& path, bool quick) {
  const HttpResponse response = client_.head(address(path), quick);
  if (response.header("x-error-code") == "EntryNotFound") {
    const std::string& commit = response.header("x-repo-commit");
    if (!is_commit(commit)) return std::nullopt;
    if (!quick) cache_.mark_absent(commit, path);
    if (commit_.empty()) commit_ = commit;
    return std::nullopt;
  }
  if (!response.ok() && (response.status < 300 || response.status >= 400)) refuse(response, path);
  FileMetadata file = read_metadata(response);
  commit_ = file.commit;
  return file;
}

bool Snapshot::probe(const std::string& path) {
  if (options_.offline) fail_unreached("nothing, as HF_HUB_OFFLINE forbids to ask");
  if (!can_make_folder(options_.cache))
    fail(Code::io, repository_.label(), "a cache folder that can be written (HF_HUB_CACHE or --cache_dir names another)",
         quote(options_.cache.string(), 200));
  try {
    const HttpResponse response = client_.head(address(path), true);
    if (response.header("x-error-code") == "EntryNotFound") return false;
    const bool told = response.ok() || (response.status >= 300 && response.status < 400) || response.passing();
    if (!told) refuse(response, path);
    return true;
  } catch (const NoAnswer& error) {
    fail_unreached(error.received());
  }
}

std::optional<fs::path> Snapshot::fetch(const std::string& path) {
  if (!is_safe_path(path)) fail(Code::io, repository_.label(), "names of files inside the repository", quote(path));
  if (commit_.empty() && is_commit(repository_.revision)) commit_ = repository_.revision;
  if (!commit_.empty()) {
    if (auto there = cache_.find(commit_, path)) return there;
    if (cache_.known_absent(commit_, path)) return std::nullopt;
  }
  const std::optional<FileMetadata> file = look(path, false);
  if (!file) return std::nullopt;
  if (auto there = cache_.find(commit_, path)) return there;
  const FileLock lock = wait_for_lock(cache_.lock(file->etag), path);
  try {
    download_blob(client_, options_, address(path), *file, cache_.blob(file->etag), path);
  } catch (const Refused& refused) {
    refuse(refused.response, path);
  }
  return cache_.link(commit_, path, file->etag);
}

std::optional<fs::path> Snapshot::cached(const std::string& path) const {
  return cached_commit_ && is_safe_path(path) ? cache_.find(*cached_commit_, path) : std::nullopt;
}

std::optional<fs::path> Snapshot::cached_folder() const {
  return cached_commit_ ? std::optional(cache_.snapshot(*cached_commit_)) : std::nullopt;
}

void Snapshot::keep_revision() const {
  try {
    cache_.set_revision(repository_.revision, commit_);
  } catch (const Error& error) {
    log::warn(error.what());  // a cache that others fill and we may only read
  }
}

void Snapshot::fail_unreached(const std::string& why) const {
  fail(Code::io, repository_.label(), str("it in the cache ", options_.cache.string(), " or at ", options_.endpoint),
       str(why, "; ", local_files(repository_.kind)));
}

void Snapshot::refuse(const HttpResponse& response, const std::string& path) const {
  const std::string& code = response.header("x-error-code");
  const std::string said = response.header("x-error-message");
  const std::string status = str(response.status, said.empty() ? "" : " " + quote(said, 200));
  const std::string page = str(options_.endpoint, repository_.kind == RepoKind::dataset ? "/datasets/" : "/", repository_.name);
  const bool token = !options_.token.empty();
  const std::string where = repository_.label();
  if (code == "GatedRepo")
    fail(Code::io, where, "a repository that may be read",
         str("a gated one (", status, "): accept its terms at ", page,
             token ? " with the account of your token" : ", then set HF_TOKEN to a token of that account"));
  if (code == "RevisionNotFound")
    fail(Code::io, where, str("revision ", repository_.revision), str("no such branch, tag or commit (", status, ")"));
  if (code == "EntryNotFound")
    fail(Code::io, where, str("the file ", path), str("none at ", repository_.revision, " (", status, ")"));
  if (response.status == 401 && said == "Invalid credentials in Authorization header")
    fail(Code::io, where, "a valid token",
         str("one that ", options_.endpoint, " refuses (", status, "): HF_TOKEN, HF_TOKEN_PATH or the token file holds it"));
  if (code == "RepoNotFound" || response.status == 401)
    fail(Code::io, where, str("a repository at ", options_.endpoint),
         str("none of that name, or a private one (", status, "): check the name",
             token ? " and what your token may read" : "; a private one needs HF_TOKEN", "; ", local_files(repository_.kind)));
  if (response.status == 403)
    fail(Code::io, where, "permission to read it", str(status, token ? ": your token lacks it" : ": HF_TOKEN may give it"));
  if (response.status == 429)
    fail(Code::io, where, "an answer",
         str(status, ", too many requests",
             response.header("retry-after").empty() ? "" : str(" (Retry-After ", quote(response.header("retry-after")), ")"),
             ": try later", token ? "" : ", or set HF_TOKEN for a higher limit"));
  fail(Code::io, where, str("an answer from ", response.url), str(status, response.passing() ? ": try later" : ""));
}

}  // namespace dept
