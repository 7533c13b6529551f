#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "dept/hub/hub.h"
#include "hub/names.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

TEST(Names, RepositoriesAreOneOrTwoPlainParts) {
  for (const char* name : {"t5-base", "google-t5/t5-base", "a", "A.b_c-1/x"}) EXPECT_TRUE(is_repository_name(name)) << name;
  for (const char* name :
       {"", "/", "a/", "/a", "a/b/c", "..", "a..b", "a--b", "-a", "a.", ".a", "a b", "a\n", "a\\b", "~/x", "./x"})
    EXPECT_FALSE(is_repository_name(name)) << name;
  EXPECT_FALSE(is_repository_name(std::string(97, 'a')));
}

TEST(Names, PathsStayInside) {
  for (const char* path : {"config.json", "a/b/c.txt", "refs/pr/1", ".hidden", "a..b"}) EXPECT_TRUE(is_safe_path(path)) << path;
  for (const char* path : {"", "/etc/passwd", "../x", "a/../x", "a/./b", "a//b", "a/", "a\\..\\b", "a\nb", "\x7f"})
    EXPECT_FALSE(is_safe_path(path)) << path;
  EXPECT_FALSE(is_safe_path(std::string_view("a\0b", 3)));
  EXPECT_FALSE(is_safe_path(std::string(300, 'a')));
}

TEST(Names, TagsAreFileNames) {
  EXPECT_EQ(plain_etag("\"abc\""), "abc");
  EXPECT_EQ(plain_etag("W/\"abc\""), "abc");
  EXPECT_EQ(plain_etag("abc"), "abc");
  EXPECT_EQ(plain_etag("\""), "\"");
  for (const char* tag : {"0a1b", "abc-5", "x_y.z"}) EXPECT_TRUE(is_etag(tag)) << tag;
  for (const char* tag : {"", "..", ".a", "a/b", "../../x", "a b", "\"a\""}) EXPECT_FALSE(is_etag(tag)) << tag;
}

TEST(Names, OriginsTellSchemeHostAndPort) {
  EXPECT_EQ(origin_of("https://huggingface.co/a/b"), "https://huggingface.co:443");
  EXPECT_EQ(origin_of("https://HuggingFace.co:443"), "https://huggingface.co:443");
  EXPECT_EQ(origin_of("http://127.0.0.1:80@evil.example/x"), "http://evil.example:80");
  EXPECT_NE(origin_of("http://127.0.0.1:8080"), origin_of("http://localhost:8080"));
  EXPECT_EQ(origin_of("ftp://a.example"), "");
  EXPECT_EQ(origin_of("file:///etc/passwd"), "");
  EXPECT_EQ(origin_of("huggingface"), "");
}

TEST(Names, AreEscaped) {
  EXPECT_EQ(escaped("refs/convert/parquet", false), "refs%2Fconvert%2Fparquet");
  EXPECT_EQ(escaped("a b/c?d#e%.txt", true), "a%20b/c%3Fd%23e%25.txt");
}

// Sets variables of the environment, for one test.
class HubEnvironment : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME", "HF_TOKEN", "HF_TOKEN_PATH",
                             "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE",
                             "HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"}) {
      if (const char* value = std::getenv(name)) before_[name] = value;
      ::unsetenv(name);
    }
    before_["HOME"] = std::getenv("HOME");
    set("HOME", scratch_.path().string());
  }
  void TearDown() override {
    for (const char* name : set_) ::unsetenv(name);
    for (const auto& [name, value] : before_) ::setenv(name.c_str(), value.c_str(), 1);
  }
  void set(const char* name, const std::string& value) {
    ::setenv(name, value.c_str(), 1);
    set_.push_back(name);
  }

  Scratch scratch_;

 private:
  std::map<std::string, std::string> before_;
  std::vector<const char*> set_;
};

TEST_F(HubEnvironment, CacheFoldersByPrecedence) {
  EXPECT_EQ(hub_options().cache, scratch_ / ".cache/huggingface/hub");
  set("XDG_CACHE_HOME", "/x");
  EXPECT_EQ(hub_options().cache, "/x/huggingface/hub");
  set("HF_HOME", "~/home");
  EXPECT_EQ(hub_options().cache, scratch_ / "home/hub");
  set("HUGGINGFACE_HUB_CACHE", "/old");
  EXPECT_EQ(hub_options().cache, "/old");
  set("HF_HUB_CACHE", "/new");
  EXPECT_EQ(hub_options().cache, "/new");
  set("HF_HUB_CACHE", "");
  EXPECT_EQ(hub_options().cache, "/old");
  EXPECT_EQ(hub_options("/flag").cache, "/flag");
}

TEST_F(HubEnvironment, TokensByPrecedence) {
  EXPECT_EQ(hub_options().token, "");
  set("HF_HOME", scratch_.path().string());
  scratch_.write("token", "from-home\n");
  EXPECT_EQ(hub_options().token, "from-home");
  set("HF_TOKEN_PATH", scratch_.write("other", "from-path").string());
  EXPECT_EQ(hub_options().token, "from-path");
  set("HF_TOKEN", " from-variable\n");
  EXPECT_EQ(hub_options().token, "from-variable");
  set("HF_TOKEN", "two\r\nlines: x");
  EXPECT_NE(error_of(Code::usage, [] { hub_options(); }).find("HF_TOKEN"), std::string::npos);
}

TEST_F(HubEnvironment, EndpointOfflineAndTimes) {
  EXPECT_EQ(hub_options().endpoint, "https://huggingface.co");
  EXPECT_FALSE(hub_options().offline);
  set("HF_ENDPOINT", "http://127.0.0.1:1//");
  EXPECT_EQ(hub_options().endpoint, "http://127.0.0.1:1");
  set("TRANSFORMERS_OFFLINE", "1");
  EXPECT_TRUE(hub_options().offline);
  set("HF_HUB_OFFLINE", "0");
  EXPECT_FALSE(hub_options().offline);
  set("HF_HUB_OFFLINE", "yes");
  EXPECT_TRUE(hub_options().offline);
  set("HF_HUB_DOWNLOAD_TIMEOUT", "3");
  EXPECT_EQ(hub_options().stall, 3);
  set("HF_HUB_DOWNLOAD_TIMEOUT", "soon");
  error_of(Code::usage, [] { hub_options(); });
  set("HF_HUB_DOWNLOAD_TIMEOUT", "3");
  set("HF_ENDPOINT", "huggingface.co");
  EXPECT_NE(error_of(Code::usage, [] { hub_options(); }).find("HF_ENDPOINT"), std::string::npos);
}

}  // namespace
}  // namespace dept
