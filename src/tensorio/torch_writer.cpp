#include <caffe2/serialize/inline_container.h>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/tensorio/tensor_source.h"

namespace dept {
namespace {

// Storages are named by type, and only these have a name that any reader knows.
std::string_view storage_name(at::ScalarType type, const std::string& where) {
  switch (type) {
    case at::kFloat:
      return "FloatStorage";
    case at::kHalf:
      return "HalfStorage";
    case at::kBFloat16:
      return "BFloat16Storage";
    case at::kDouble:
      return "DoubleStorage";
    case at::kLong:
      return "LongStorage";
    default:
      fail(Code::bug, where, "a tensor of float, double, half, bfloat16 or int64", at::toString(type));
  }
}

// Pickle of protocol 2; the letters are its opcodes.
class Pickle {
 public:
  void raw(std::string_view opcodes) { bytes_ += opcodes; }
  void global(std::string_view module, std::string_view name) { bytes_ += str("c", module, "\n", name, "\n"); }
  void text(std::string_view value) {
    bytes_ += 'X';
    little_endian(static_cast<uint32_t>(value.size()));
    bytes_ += value;
  }
  void integer(int64_t value) {
    bytes_ += "\x8a\x08";
    little_endian(value);
  }
  void tuple(at::IntArrayRef values) {
    raw("(");
    for (const int64_t value : values) integer(value);
    raw("t");
  }
  // _rebuild_tensor_v2(("storage", type, key, "cpu", count), 0, shape, strides, False, OrderedDict())
  void tensor(const at::Tensor& tensor, const std::string& key, const std::string& where) {
    global("torch._utils", "_rebuild_tensor_v2");
    raw("((");
    text("storage");
    global("torch", storage_name(tensor.scalar_type(), where));
    text(key);
    text("cpu");
    integer(tensor.numel());
    raw("tQ");
    integer(0);
    tuple(tensor.sizes());
    tuple(tensor.strides());
    raw("\x89");
    global("collections", "OrderedDict");
    raw(")RtR");
  }
  const std::string& bytes() const { return bytes_; }

 private:
  template <class T>
  void little_endian(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  std::string bytes_;
};

}  // namespace

void save_torch_file(const fs::path& path, const NamedTensors& tensors) {
  NamedTensors plain;
  for (const auto& [name, tensor] : tensors) plain.emplace_back(name, tensor.detach().to(at::kCPU).contiguous());
  Pickle pickle;
  pickle.raw("\x80\x02}(");
  for (size_t i = 0; i < plain.size(); ++i) {
    pickle.text(plain[i].first);
    pickle.tensor(plain[i].second, std::to_string(i), str(path.string(), ": ", plain[i].first));
  }
  pickle.raw("u.");

  std::string bytes;
  caffe2::serialize::PyTorchStreamWriter writer([&bytes](const void* data, size_t size) {
    bytes.append(static_cast<const char*>(data), size);
    return size;
  });
  writer.writeRecord("data.pkl", pickle.bytes().data(), pickle.bytes().size());
  writer.writeRecord("byteorder", "little", 6);
  for (size_t i = 0; i < plain.size(); ++i)
    writer.writeRecord(str("data/", i), plain[i].second.const_data_ptr(), plain[i].second.nbytes());
  writer.writeEndOfFile();
  write_atomic(path, bytes);
}

}  // namespace dept
