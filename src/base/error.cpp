#include "dept/base/error.h"

#include "dept/base/text.h"

namespace dept {

void fail(Code code, std::string_view where, std::string_view expected, std::string_view received) {
  throw Error(code, str("[", where, "] expected ", expected, ", received ", received));
}

}  // namespace dept
