// The architectures of GGUF files that are read, as llama.cpp writes them: what each calls its tensors, and keys of its own.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "dept/base/json.h"
#include "dept/base/text.h"
#include "dept/tensorio/gguf.h"

namespace dept {

/// GGUF's tensor of Llama 3's scaling, which has no name of Hugging Face's.
inline constexpr std::string_view rope_divisors = "rope_freqs.weight";

/// The keys of a file's architecture, without its name in front.
struct GgufKeys {
  const GgufFile& file;
  std::string_view architecture;

  std::string name(std::string_view key) const { return str(architecture, ".", key); }
  std::optional<int64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;
  std::optional<std::string> string(std::string_view key) const;
  int64_t required_integer(std::string_view key) const { return file.integer(name(key)); }
};

/// Hugging Face's names of modules -> GGUF's.
using ModuleNames = std::map<std::string, std::string, std::less<>>;

struct GgufArchitecture {
  std::string_view name, model_type;
  std::string_view layers = "model.layers.";  ///< what stands in front of a layer's number
  const ModuleNames* whole;                   ///< modules outside of the layers
  const ModuleNames* in_block;
  std::span<const std::string_view> keys = {};  ///< of its own, beside those of all architectures
  void (*finish)(const GgufKeys& keys, Json& config) = nullptr;
  std::span<const std::string_view> read_with_config = {};  ///< tensors that finish() reads
  bool gpt = false;                                         ///< finish() reads the whole configuration
  bool interleaved = false;                                 ///< the two halves of each head of Q and K stand row by row
  bool norms_hold_one = false;                              ///< norms are stored as 1 + w
  bool transposes = false;                                  ///< Hugging Face has its matrices as [in, out]
  bool partial_rotation = false;                            ///< rope.dimension_count is not the width of a head
};

/// Throws bad_input for one that is not here.
const GgufArchitecture& gguf_architecture(const GgufFile& file);

/// Hugging Face's name of a tensor -> GGUF's.
std::string gguf_name(const GgufArchitecture& architecture, const std::string& name);

}  // namespace dept
