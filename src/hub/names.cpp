#include "hub/names.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <memory>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/hub/hub.h"

namespace dept {
namespace {

constexpr size_t longest_repository = 96, longest_path = 1024, longest_part = 255;

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_name_character(char c) {
  return is_letter_or_digit(c) || c == '-' || c == '_' || c == '.';
}

bool is_repository_part(std::string_view part) {
  const auto edge = [](char c) { return c == '-' || c == '.'; };
  return !part.empty() && std::all_of(part.begin(), part.end(), is_name_character) && !edge(part.front()) && !edge(part.back()) &&
         part.find("--") == part.npos && part.find("..") == part.npos;
}

std::string part_of(CURLU* url, CURLUPart part, unsigned flags) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return "";
  std::string copy(text);
  curl_free(text);
  return copy;
}

}  // namespace

bool is_safe_path(std::string_view path) {
  if (path.empty() || path.size() > longest_path) return false;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part.empty() || part == "." || part == ".." || part.size() > longest_part) return false;
    begin = end + 1;
  }
  return std::none_of(path.begin(), path.end(), [](unsigned char c) { return c < ' ' || c == 0x7f || c == '\\'; });
}

bool is_commit(std::string_view text) {
  const auto hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); };
  return text.size() >= 40 && text.size() <= 64 && std::all_of(text.begin(), text.end(), hex);
}

bool is_etag(std::string_view text) {
  return !text.empty() && text.size() <= 128 && text.front() != '.' && std::all_of(text.begin(), text.end(), is_name_character);
}

std::string plain_etag(std::string_view header) {
  if (header.rfind("W/", 0) == 0) header.remove_prefix(2);
  if (header.size() >= 2 && header.front() == '"' && header.back() == '"') header = header.substr(1, header.size() - 2);
  return std::string(header);
}

bool is_repository_name(const std::string& name) {
  if (name.size() > longest_repository) return false;
  const size_t slash = name.find('/');
  if (slash == name.npos) return is_repository_part(name);
  const std::string_view text(name);
  return is_repository_part(text.substr(0, slash)) && is_repository_part(text.substr(slash + 1));
}

bool is_gguf_name(const std::string& name) {
  const auto [repository, file] = split_model_name(name);
  return file.ends_with(".gguf") && is_safe_path(file) && is_repository_name(repository);
}

ModelName split_model_name(const std::string& name) {
  const size_t colon = name.find(':');
  return {name.substr(0, colon), colon == name.npos ? "" : name.substr(colon + 1)};
}

void require_repository(const std::string& name) {
  if (!is_repository_name(name))
    fail(Code::usage, "hub", "a repository as in t5-base or google-t5/t5-base (letters, digits, '-', '_', '.')", quote(name));
}

void require_revision(const std::string& revision) {
  if (!is_safe_path(revision)) fail(Code::usage, "revision", "a branch, a tag or a commit", quote(revision));
}

std::string escaped(std::string_view text, bool path) {
  static constexpr char hex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (is_name_character(c) || c == '~' || (path && c == '/')) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', hex[byte >> 4], hex[byte & 15]};
    }
  }
  return out;
}

std::string origin_of(const std::string& url) {
  const std::unique_ptr<CURLU, void (*)(CURLU*)> parsed(curl_url(), curl_url_cleanup);
  if (!parsed || curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return "";
  const std::string scheme = part_of(parsed.get(), CURLUPART_SCHEME, 0);
  if (scheme != "http" && scheme != "https") return "";
  std::string origin = str(scheme, "://", part_of(parsed.get(), CURLUPART_HOST, 0), ":",
                           part_of(parsed.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT));
  std::transform(origin.begin(), origin.end(), origin.begin(), [](unsigned char c) { return std::tolower(c); });
  return origin;
}

}  // namespace dept
