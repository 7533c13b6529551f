#include "dept/base/error.h"
#include "dept/tensorio/tensor_source.h"
#include "memory_file.h"

// A torch.save file of any bytes is read in full or refused with an Error.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const dept::MemoryFile input(data, size);
  try {
    const auto file = dept::open_torch_file(input.path());
    for (const dept::TensorInfo& info : file->tensors()) file->read(info.name);
  } catch (const dept::Error&) {
  }
  return 0;
}
