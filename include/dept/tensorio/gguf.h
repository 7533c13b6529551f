// GGUF v2 and v3: metadata and tensors (F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K, IQ4_NL, IQ4_XS),
// memory-mapped.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "dept/tensorio/tensor_source.h"

namespace dept {

/// A metadata value. Arrays of booleans are integers; arrays of arrays are checked and left out.
using GgufValue =
    std::variant<int64_t, double, bool, std::string, std::vector<int64_t>, std::vector<double>, std::vector<std::string>>;

struct GgmlType;

/// A tensor's blocks where they lie in the file, which they keep mapped.
struct GgufBlocks {
  const GgmlType* type = nullptr;  ///< null for a type that torch has itself, which read() gives
  at::Tensor bytes;                ///< uint8 [rows, bytes of a row]; all dimensions but the last make the rows
};

class GgufFile : public TensorSource {
 public:
  /// Throws bad_input for another shape, or for scales that are not finite. Not to be written to.
  virtual GgufBlocks blocks(std::string_view name, at::IntArrayRef shape) const = 0;

  virtual const std::map<std::string, GgufValue, std::less<>>& metadata() const = 0;

  /// Typed metadata; throws bad_input naming file and key when absent or of another kind, for numbers also when NaN or infinite.
  /// number() takes integers too.
  int64_t integer(std::string_view key) const;
  double number(std::string_view key) const;
  const std::string& string(std::string_view key) const;
  const std::vector<std::string>& strings(std::string_view key) const;
  const std::vector<int64_t>& integers(std::string_view key) const;
  const std::vector<double>& numbers(std::string_view key) const;
  bool has(std::string_view key) const { return metadata().count(key) != 0; }
};

/// Reads and checks the whole front of the file (magic, version, every length, type, offset). A model in several files
/// (split.count) is read as one, from the path of any of them; its path() is the first's. Throws io or bad_input.
std::unique_ptr<GgufFile> open_gguf(const fs::path& path);

}  // namespace dept
