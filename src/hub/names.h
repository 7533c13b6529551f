// Names that go into addresses and paths. What a server says is never a path before it stood these tests.
#pragma once

#include <string>
#include <string_view>

namespace dept {

enum class RepoKind { model, dataset };

/// A relative path whose parts are names, none of them "." or "..", without backslashes and control characters.
bool is_safe_path(std::string_view path);

/// 40 to 64 hex digits.
bool is_commit(std::string_view text);

/// An entity tag that can be a file's name: letters, digits, '-', '_', '.', not first a '.', at most 128.
bool is_etag(std::string_view text);

/// W/"abc" and "abc" -> abc.
std::string plain_etag(std::string_view header);

/// "ORG/REPO:FILE.gguf" in its two parts; the second is empty without a colon.
struct ModelName {
  std::string repository, file;
};
ModelName split_model_name(const std::string& name);

/// Throws usage unless it is a possible repository.
void require_repository(const std::string& name);

/// Throws usage unless it is a possible branch, tag or commit.
void require_revision(const std::string& revision);

/// Percent-encoded; '/' is kept in paths.
std::string escaped(std::string_view text, bool path);

/// "https://host:443" of an http or https address, in lower case, "" of anything else.
std::string origin_of(const std::string& url);

}  // namespace dept
