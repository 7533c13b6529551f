#include "models/unread.h"

#include <algorithm>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {

bool matches(std::string_view name, std::string_view pattern) {
  for (const char expected : pattern) {
    if (expected == '*') return true;
    const size_t length =
        expected == '#' ? std::min(name.find_first_not_of("0123456789"), name.size()) : name.starts_with(expected);
    if (length == 0) return false;
    name.remove_prefix(length);
  }
  return name.empty();
}

void refuse_unread(const ModelFiles& files, NamePatterns rightly) {
  const TensorInfo* first = nullptr;
  size_t unread = 0;
  for (const TensorInfo& tensor : files.weights->tensors()) {
    const auto known = [&](std::string_view pattern) { return matches(tensor.name, pattern); };
    if (files.read->contains(tensor.name) || std::any_of(rightly.begin(), rightly.end(), known)) continue;
    if (unread++ == 0) first = &tensor;
  }
  if (unread == 0) return;
  const std::string more = unread == 1 ? "" : str(" (and ", unread - 1, " more)");
  fail(Code::bad_input, str(files.weights->path().string(), ": ", quote(first->name, 200)),
       str("tensors of a ", require<std::string>(files.config, "model_type", files.where), " model as its configuration says"),
       "one that nothing here reads" + more);
}

}  // namespace dept
