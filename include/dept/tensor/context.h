// What a computation runs on and with. Passed down, never global.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "dept/process.h"

namespace dept {

/// 1..N ranks. dist implements it over Gloo; a null pointer in Call means one rank.
class Collective {
 public:
  virtual ~Collective() = default;
  virtual int64_t rank() const = 0;
  virtual int64_t size() const = 0;
  /// In-place sum over the ranks of a contiguous fp32 or fp64 CPU tensor. Throws io when a rank is gone.
  virtual void all_reduce_sum(at::Tensor& tensor) = 0;
  virtual void broadcast(at::Tensor& tensor, int64_t root) = 0;
  virtual void barrier() = 0;
};

/// How a backbone holds its matrices: in the compute type, in a type of their own, as a GGUF file has them, or its linear layers
/// as whole numbers of 8 bits that are multiplied as such.
enum class Storage { same, fp32, fp16, bf16, gguf, int8 };

/// What computes: our own kernels where the device has any, or ATen's operators alone, the reference on every device.
enum class Kernels { own, plain };

/// What a model is loaded with, and keeps.
struct ModelContext {
  c10::Device device = c10::Device(c10::kCPU);
  c10::ScalarType compute = c10::kFloat;  ///< branches of the backbone: kFloat, kBFloat16, or kDouble (reference)
  Storage storage = Storage::same;
  Kernels kernels = Kernels::own;  ///< of the model, and of what is computed beside it
  bool graphs = false;             ///< on a GPU: training steps are recorded as CUDA graphs
  int threads = 1;

  /// The dtype of the residual stream and of statistics: fp32, or fp64 when compute is fp64.
  c10::ScalarType residual() const { return compute == c10::kDouble ? c10::kDouble : c10::kFloat; }
};

/// What a call of a model is.
struct Call {
  bool training = false;            ///< dropout is on
  std::vector<uint64_t> seeds{42};  ///< [K] one a configuration
  uint32_t micro_step = 0;          ///< counts micro-batches from the start of training; keys the dropout
  Collective* group = nullptr;
};

/// "fp32", "bf16", "fp64" or "auto" (bf16 where the CPU multiplies it natively, else fp32). Throws usage.
c10::ScalarType parse_dtype(std::string_view name);

/// "fp32", "bf16", "fp64", ..: what messages call a type.
std::string_view dtype_name(c10::ScalarType dtype);

/// "same", "fp32", "fp16", "bf16", "gguf" or "int8". Throws usage.
Storage parse_storage(std::string_view name);

/// What a backbone with this context says of how it is held: "gguf", "bf16", ..
std::string_view storage_name(const ModelContext& context);

/// Whether this CPU has AVX512-BF16 or AMX-BF16.
bool cpu_has_bf16();

/// Whether this CPU has what products of int8 storage need: AVX512-BF16 and AVX512-VNNI.
bool cpu_has_int8();

}  // namespace dept
