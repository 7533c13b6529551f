// Header blocks, keys and errors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dept/base/json.h"
#include "http/head.h"
#include "http/key.h"
#include "http/message.h"

namespace dept::http {
namespace {

using testing::HasSubstr;

std::string block(const std::string& lines) {
  return "POST /v1/completions?a=b HTTP/1.1\r\nHost: here\r\n" + lines + "\r\n";
}

// The status that a header block is refused with; 0: it is taken.
int refusal(const std::string& bytes) {
  try {
    body_length(read_head(bytes), 100);
    return 0;
  } catch (const ApiError& error) {
    return error.status();
  }
}

TEST(Head, GivesMethodPathAndLength) {
  const Head head = read_head(block("content-length: 12\r\nAUTHORIZATION:  Bearer x \r\nExpect: 100-Continue\r\n"));
  EXPECT_EQ(head.request.method, "POST");
  EXPECT_EQ(head.request.path, "/v1/completions");
  EXPECT_EQ(head.request.authorization, "Bearer x");
  EXPECT_EQ(head.content_length, 12U);
  EXPECT_TRUE(head.expects_continue);
  EXPECT_TRUE(head.request.keep_alive);
  EXPECT_EQ(body_length(head, 100), 12U);
}

TEST(Head, SaysWhetherTheConnectionStays) {
  EXPECT_FALSE(read_head("GET / HTTP/1.1\r\nConnection: close\r\n\r\n").request.keep_alive);
  EXPECT_FALSE(read_head("GET / HTTP/1.0\r\n\r\n").request.keep_alive);
  EXPECT_EQ(read_head("GET / HTTP/1.0\r\n\r\n").request.version, 10U);
}

TEST(Head, KeepsThePathAsItWasSent) {
  EXPECT_EQ(read_head("GET //health/../x%20y HTTP/1.1\r\n\r\n").request.path, "//health/../x%20y");
}

TEST(Head, RefusesEveryTransferCoding) {
  EXPECT_EQ(refusal(block("Transfer-Encoding: chunked\r\n")), 411);
  EXPECT_EQ(refusal(block("transfer-encoding : identity\r\nContent-Length: 5\r\n")), 411);
  EXPECT_EQ(refusal(block("Content-Length: 5\r\nTransfer-Encoding: gzip\r\n")), 411);
  EXPECT_EQ(refusal("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), 411);
}

TEST(Head, WantsOneLength) {
  EXPECT_EQ(refusal(block("Content-Length: 5\r\n")), 0);
  EXPECT_EQ(refusal(block("")), 411);
  EXPECT_EQ(refusal("GET / HTTP/1.1\r\n\r\n"), 0);
  EXPECT_EQ(refusal(block("Content-Length: 5\r\nContent-Length: 5\r\n")), 400);
  EXPECT_EQ(refusal(block("Content-Length: 5, 5\r\n")), 400);
  for (const char* value : {"-5", "+5", "0x5", "5 5", "", "99999999999999999999"})
    EXPECT_EQ(refusal(block("Content-Length: " + std::string(value) + "\r\n")), 400) << value;
  EXPECT_EQ(refusal(block("Content-Length: 100\r\n")), 0);
  EXPECT_EQ(refusal(block("Content-Length: 101\r\n")), 413);
}

TEST(Head, RefusesWhatIsNoHttp) {
  for (const char* bytes : {"nonsense\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/3.0\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n",
                            "GET /%zz HTTP/1.1\r\n\r\n", "GET /%ff HTTP/1.1\r\n\r\n", "GET /\xff HTTP/1.1\r\n\r\n",
                            "GET / HTTP/1.1\r\nA: b\nTransfer-Encoding: chunked\r\n\r\n", "\r\n\r\n"})
    EXPECT_EQ(refusal(bytes), 400) << bytes;
}

TEST(Key, OpensForBearerAndForAPasswordOfBasic) {
  const Key key("sesame");
  for (const char* value : {"Bearer sesame", "bearer sesame", "BEARER   sesame ", "Basic YTpzZXNhbWU=", "basic OnNlc2FtZQ=="})
    EXPECT_TRUE(key.opens(value)) << value;
  for (const char* value : {"", "Bearer", "Bearer ", "sesame", "Bearer Sesame", "Bearer sesame x", "Digest sesame",
                            "Basic c2VzYW1l", "Basic !!", "Basic YTpub25l"})
    EXPECT_FALSE(key.opens(value)) << value;
}

TEST(Key, WithoutOneAllAreLetIn) {
  EXPECT_TRUE(Key("").opens(""));
}

TEST(Key, Base64) {
  EXPECT_EQ(decode_base64(""), "");
  EXPECT_EQ(decode_base64("YQ=="), "a");
  EXPECT_EQ(decode_base64("YWI="), "ab");
  EXPECT_EQ(decode_base64("YWJj"), "abc");
  EXPECT_EQ(decode_base64("/+8="), "\xff\xef");
  EXPECT_EQ(decode_base64("YW\nJj"), "");
}

TEST(ApiError, HasAllFourKeys) {
  const Json error = Json::parse(ApiError(404, "no \xff here", "model", "model_not_found").json()).at("error");
  EXPECT_EQ(error.size(), 4U);
  EXPECT_EQ(error.at("param"), "model");
  EXPECT_EQ(error.at("code"), "model_not_found");
  EXPECT_TRUE(error.at("type").is_string());
  EXPECT_THAT(error.at("message").get<std::string>(), HasSubstr("no \xEF\xBF\xBD here"));
  const Json bare = Json::parse(ApiError(500, "why").json()).at("error");
  EXPECT_TRUE(bare.at("param").is_null());
  EXPECT_TRUE(bare.at("code").is_null());
}

TEST(PercentDecode, TakesHexPairsAlone) {
  std::string out;
  EXPECT_TRUE(percent_decode("a%20b%C3%bc", out));
  EXPECT_EQ(out, "a b\xC3\xBC");
  for (const char* text : {"%", "%2", "a%g0"}) EXPECT_FALSE(percent_decode(text, out)) << text;
}

}  // namespace
}  // namespace dept::http
