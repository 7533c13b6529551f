#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/hub/hub.h"
#include "hub/names.h"

namespace dept {
namespace {

// A variable that is set and not empty, else "".
std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

fs::path expanded(const std::string& path) {
  if (path == "~" || path.rfind("~/", 0) == 0) return variable("HOME") + path.substr(1);
  return path;
}

bool is_true(std::string value) {
  std::transform(value.begin(), value.end(), value.begin(), [](unsigned char c) { return std::toupper(c); });
  return value == "1" || value == "ON" || value == "YES" || value == "TRUE";
}

fs::path home() {
  if (const std::string own = variable("HF_HOME"); !own.empty()) return expanded(own);
  const std::string caches = variable("XDG_CACHE_HOME");
  return (caches.empty() ? expanded("~/.cache") : fs::path(caches)) / "huggingface";
}

fs::path cache_folder() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"})
    if (const std::string own = variable(name); !own.empty()) return expanded(own);
  return home() / "hub";
}

std::string token_of(const std::string& text, std::string_view where) {
  std::string token(strip(text));
  const bool plain = std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (!plain) fail(Code::usage, where, "a token of letters, digits and signs", "other characters");
  return token;
}

std::string token() {
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"})
    if (const std::string own = variable(name); !strip(own).empty()) return token_of(own, name);
  const std::string path = variable("HF_TOKEN_PATH");
  const fs::path file = path.empty() ? home() / "token" : expanded(path);
  std::error_code error;
  return fs::is_regular_file(file, error) ? token_of(read_file(file, 1 << 16), file.string()) : "";
}

double seconds(const char* name, double otherwise) {
  const std::string text = variable(name);
  if (text.empty()) return otherwise;
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (*end != '\0' || !(value > 0) || value > 86400) fail(Code::usage, name, "seconds, more than 0", quote(text));
  return value;
}

}  // namespace

HubOptions hub_options(const std::string& cache_dir) {
  HubOptions options;
  if (std::string own = variable("HF_ENDPOINT"); !own.empty()) {
    while (!own.empty() && own.back() == '/') own.pop_back();
    options.endpoint = own;
  }
  if (origin_of(options.endpoint).empty()) fail(Code::usage, "HF_ENDPOINT", "an http or https address", quote(options.endpoint));
  options.cache = cache_dir.empty() ? cache_folder() : expanded(cache_dir);
  options.token = token();
  const std::string offline = variable("HF_HUB_OFFLINE");
  options.offline = is_true(offline.empty() ? variable("TRANSFORMERS_OFFLINE") : offline);
  options.answer = seconds("HF_HUB_ETAG_TIMEOUT", options.answer);
  options.contact = seconds("HF_HUB_ETAG_TIMEOUT", options.contact);
  options.stall = seconds("HF_HUB_DOWNLOAD_TIMEOUT", options.stall);
  for (const char* name : {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"})
    if (options.ca_bundle.empty()) options.ca_bundle = variable(name);
  return options;
}

}  // namespace dept
