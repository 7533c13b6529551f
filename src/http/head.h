// A request's header block: what is refused in it before anything else is looked at.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "http/message.h"

namespace dept::http {

constexpr size_t header_limit = 16384;  ///< bytes of a header block, its last empty line included

struct Head {
  Request request;  ///< without its body
  std::optional<uint64_t> content_length;
  bool expects_continue = false;
};

/// Reads a block that ends with an empty line. Throws ApiError: 411 for any Transfer-Encoding, 400 for several Content-Lengths
/// and for what is no HTTP.
Head read_head(std::string_view block);

/// The length of the body that is to be read. Throws ApiError: 413 over `max_body`, 411 for a method that has a body without one.
uint64_t body_length(const Head& head, uint64_t max_body);

}  // namespace dept::http
