#include <algorithm>
#include <set>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/tensorio/tensor_source.h"
#include "tensorio/plain_types.h"

namespace dept {
namespace {

struct Writing {
  std::string name;
  const PlainType* type;
  at::Tensor tensor;  // contiguous, on the CPU
};

// What the caller got wrong is a bug of ours, not bad input.
void check_name(const std::string& name, std::set<std::string>& seen, const std::string& where) {
  if (find_invalid_utf8(name) != std::string::npos) fail(Code::bug, where, "names in UTF-8", quote(name));
  if (name == "__metadata__" || !seen.insert(name).second) fail(Code::bug, where, "each name once", quote(name));
}

std::vector<Writing> prepare(const NamedTensors& tensors, const std::string& where) {
  std::vector<Writing> prepared;
  std::set<std::string> seen;
  for (const auto& [name, tensor] : tensors) {
    check_name(name, seen, where);
    const PlainType* type = tensor.defined() ? find_plain_type(tensor.scalar_type()) : nullptr;
    if (type == nullptr) fail(Code::bug, where, "a tensor of a type that safetensors knows", quote(name));
    prepared.push_back({name, type, tensor.detach().to(at::kCPU).contiguous()});
  }
  // Wide types first: readers that map the file want each tensor aligned to its elements.
  std::stable_sort(prepared.begin(), prepared.end(),
                   [](const Writing& a, const Writing& b) { return a.type->bytes > b.type->bytes; });
  return prepared;
}

}  // namespace

void save_safetensors(const fs::path& path, const NamedTensors& tensors,
                      const std::vector<std::pair<std::string, std::string>>& metadata) {
  const std::vector<Writing> prepared = prepare(tensors, path.string());
  OrderedJson header = OrderedJson::object();
  std::set<std::string> seen;
  for (const auto& [key, value] : metadata) {
    check_name(key, seen, path.string());
    if (find_invalid_utf8(value) != std::string::npos) fail(Code::bug, path.string(), "metadata in UTF-8", quote(value));
    header["__metadata__"][key] = value;
  }
  uint64_t end = 0;
  for (const Writing& item : prepared) {
    const uint64_t begin = end;
    end += item.tensor.nbytes();
    header[item.name] = {{"dtype", item.type->name}, {"shape", item.tensor.sizes().vec()}, {"data_offsets", {begin, end}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t length = text.size();

  std::string bytes;
  bytes.reserve(sizeof length + length + end);
  bytes.append(reinterpret_cast<const char*>(&length), sizeof length);
  bytes += text;
  for (const Writing& item : prepared)
    if (item.tensor.nbytes() != 0) bytes.append(static_cast<const char*>(item.tensor.const_data_ptr()), item.tensor.nbytes());
  write_atomic(path, bytes);
}

}  // namespace dept
