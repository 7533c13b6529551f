// Requests and responses as the routes see them, and errors in OpenAI's shape.
#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dept::http {

struct Request {
  std::string method;
  std::string path;           ///< of the target, without its query; as it was sent
  std::string authorization;  ///< the header's value
  std::string body;
  unsigned version = 11;
  bool keep_alive = true;
};

struct Response {
  int status = 200;
  std::string body;
  std::string type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers = {};
};

/// What a route throws in the place of an answer.
class ApiError : public std::exception {
 public:
  /// `type` follows from the status. "" of param and code is null.
  ApiError(int status, std::string message, std::string param = "", std::string code = "");

  int status() const { return status_; }
  const std::string& message() const { return message_; }
  const char* what() const noexcept override { return message_.c_str(); }

  ApiError& with(std::string name, std::string value) {
    headers_.emplace_back(std::move(name), std::move(value));
    return *this;
  }

  /// {"error": {"message", "type", "param", "code"}}
  Response response() const;
  std::string json() const;

 private:
  int status_;
  std::string message_, param_, code_;
  std::vector<std::pair<std::string, std::string>> headers_;
};

/// 400: a field of the request's body that is wrong.
[[noreturn]] void refuse(std::string param, std::string_view expected, std::string_view received);

/// Bytes for %XX; false for a % that no two hex digits follow.
bool percent_decode(std::string_view text, std::string& out);

}  // namespace dept::http
