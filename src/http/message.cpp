#include "http/message.h"

#include "dept/base/json.h"
#include "dept/base/text.h"

namespace dept::http {
namespace {

std::string type_of(int status) {
  if (status >= 500) return "server_error";
  if (status == 401) return "authentication_error";
  if (status == 429) return "rate_limit_error";
  return "invalid_request_error";
}

OrderedJson text_or_null(const std::string& text) {
  return text.empty() ? OrderedJson() : OrderedJson(text);
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

ApiError::ApiError(int status, std::string message, std::string param, std::string code)
    : status_(status), message_(std::move(message)), param_(std::move(param)), code_(std::move(code)) {}

std::string ApiError::json() const {
  const OrderedJson error = {
      {"message", message_}, {"type", type_of(status_)}, {"param", text_or_null(param_)}, {"code", text_or_null(code_)}};
  return OrderedJson{{"error", error}}.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

Response ApiError::response() const {
  Response response{status_, json()};
  response.headers = headers_;
  return response;
}

void refuse(std::string param, std::string_view expected, std::string_view received) {
  const std::string where = param.empty() ? "request" : param;
  throw ApiError(400, str("[", where, "] expected ", expected, ", received ", received), std::move(param));
}

bool percent_decode(std::string_view text, std::string& out) {
  out.clear();
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    if (i + 2 >= text.size()) return false;
    const int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
    if (high < 0 || low < 0) return false;
    out.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return true;
}

}  // namespace dept::http
