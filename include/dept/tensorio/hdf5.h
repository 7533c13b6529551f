// Data sets of HDF5 files, memory-mapped: the part of the format that h5py and libhdf5 write by default.
#pragma once

#include <c10/core/ScalarType.h>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dept/base/file.h"

namespace dept {

/// Numbers where they lie in the file, row by row, little-endian.
struct Hdf5Data {
  std::vector<int64_t> shape;
  at::ScalarType type;  ///< kHalf, kFloat or kDouble
  std::span<const std::byte> bytes;
};

/// A file of the earliest format (superblock 0 or 1; groups as trees of symbols), which h5py writes unless libver is given.
/// Nothing outside the file is read and nothing of it is run: of links only hard ones are followed, of data only whole
/// (contiguous or compact) data sets of floating-point numbers without filters are read. Every address and length is checked
/// before it is used. May be asked from several threads at once.
class Hdf5File {
 public:
  /// Throws io when there is no such file, bad_input when it is not of this kind or was cut.
  explicit Hdf5File(const fs::path& path);

  const fs::path& path() const { return map_.path(); }
  /// The data set at a path of names such as "a/features"; absent where there is none of that name. Throws bad_input, naming it,
  /// for an object that is another than this reader knows.
  std::optional<Hdf5Data> find(std::string_view path) const;
  /// The first name, in the order of its bytes, in the file's outermost group; absent where it is empty.
  std::optional<std::string> first_name() const;

 private:
  MappedFile map_;
  uint64_t root_ = 0;  // the address of the outermost group's object header
};

}  // namespace dept
