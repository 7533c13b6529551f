// The pickle of a torch.save file, read without running any of it.
#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dept {

/// A tensor as its pickle describes it; nothing is checked against the storage yet.
struct PickledTensor {
  std::string name;
  at::ScalarType type;
  std::string storage;     ///< key of the record with its bytes
  uint64_t storage_bytes;  ///< as promised
  int64_t offset;          ///< in elements
  std::vector<int64_t> shape, strides;
};

/// The tensors of a pickled dict, in its order; numbers, strings, booleans and None beside them are left out. Protocols 2 to 5.
/// The only names that may be called are those of torch's tensors and storages and of OrderedDict, and nothing is called: any
/// other one is refused by name. Time and memory are bounded by the pickle's size. Throws bad_input.
std::vector<PickledTensor> unpickle_tensors(std::string_view pickle, const std::string& where);

}  // namespace dept
