// Files of this folder that the server holds.
#pragma once

namespace dept {

extern const char* const page_html;
extern const char* const openapi_json;

}  // namespace dept
