#include "dept/base/error.h"
#include "dept/tensorio/hdf5.h"
#include "memory_file.h"

// An HDF5 file of any bytes: data sets are read, or refused with an Error.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const dept::MemoryFile input(data, size);
  try {
    const dept::Hdf5File file(input.path());
    const auto first = file.first_name();
    volatile uint8_t sum = 0;
    for (const std::string& name : {first.value_or("a"), std::string("COCO_000000000019"), std::string("COCO_000000000095")}) {
      try {
        const auto found = file.find(name + "/features");
        if (!found) continue;
        for (const std::byte byte : found->bytes) sum = sum + std::to_integer<uint8_t>(byte);
      } catch (const dept::Error&) {
      }
    }
  } catch (const dept::Error&) {
  }
  return 0;
}
