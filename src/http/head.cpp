#include "http/head.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <string>

#include "dept/base/text.h"

namespace dept::http {
namespace {

namespace beast = boost::beast;
using Parser = beast::http::request_parser<beast::http::empty_body>;

bool is(std::string_view name, beast::string_view other) {
  return beast::iequals({name.data(), name.size()}, other);
}

// What Beast's parser takes, in part, and these routes do not: it looks at the raw lines, so that nothing is read past it.
void check_framing(std::string_view block) {
  size_t lengths = 0;
  for (size_t begin = block.find("\r\n"); begin != std::string_view::npos && begin + 2 < block.size();) {
    begin += 2;
    const size_t end = block.find("\r\n", begin);
    const std::string_view line = block.substr(begin, end - begin);
    const std::string_view name = strip(line.substr(0, line.find(':')));
    if (is(name, "Transfer-Encoding"))
      throw ApiError(411, "[Transfer-Encoding] expected a Content-Length, received a transfer coding, which is not taken");
    if (is(name, "Content-Length")) lengths += 1 + static_cast<size_t>(std::count(line.begin(), line.end(), ','));
    begin = end;
  }
  if (lengths > 1) throw ApiError(400, str("[Content-Length] expected one length, received ", lengths));
}

void parse(Parser& parser, std::string_view block) {
  beast::error_code error;
  parser.header_limit(header_limit);
  parser.body_limit(boost::none);
  parser.put(boost::asio::buffer(block.data(), block.size()), error);
  if (error && error != beast::http::error::need_more)
    throw ApiError(400, str("[request] expected HTTP/1.1, received what is none (", error.message(), ")"));
  if (!parser.is_header_done()) throw ApiError(400, "[request] expected a whole header block, received a part");
}

}  // namespace

Head read_head(std::string_view block) {
  check_framing(block);
  Parser parser;
  parse(parser, block);
  const auto& message = parser.get();
  Head head;
  head.request.method.assign(message.method_string().data(), message.method_string().size());
  const auto target = message.target();
  head.request.path.assign(target.data(), std::min(target.find('?'), target.size()));
  std::string decoded;
  if (!percent_decode({target.data(), target.size()}, decoded) || find_invalid_utf8(decoded) != std::string::npos)
    throw ApiError(400, "[target] expected a path of valid UTF-8, received other bytes");
  const auto key = message[beast::http::field::authorization];
  head.request.authorization.assign(key.data(), key.size());
  head.request.version = message.version();
  head.request.keep_alive = message.keep_alive();
  if (const auto length = parser.content_length()) head.content_length = *length;
  head.expects_continue = beast::iequals(message[beast::http::field::expect], "100-continue");
  return head;
}

uint64_t body_length(const Head& head, uint64_t max_body) {
  const std::string& method = head.request.method;
  if (!head.content_length && (method == "POST" || method == "PUT" || method == "PATCH"))
    throw ApiError(411, "[Content-Length] expected the body's length, received none");
  const uint64_t length = head.content_length.value_or(0);
  if (length > max_body) throw ApiError(413, str("[body] expected at most ", max_body, " bytes, received ", length));
  return length;
}

}  // namespace dept::http
