// A simulated device: tensors on "sim" (PrivateUse1) lie in ordinary memory that is closed except while an operator of the device
// runs. Code that reads or writes such a tensor by its pointer dies at once, and a tensor of the CPU beside one of the device is
// refused, as on a GPU. Streams and asynchrony are not simulated; CUDA graphs are: the operators that ran, run again on the same
// memory with all numbers as they were.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>

#include "dept/tensor/recorder.h"

namespace dept::sim {

/// The device; the first call registers it.
c10::Device device();

/// What ran since the last reset.
struct Counts {
  int64_t operators = 0;
  int64_t to_host = 0;    ///< copies and item() of the device's tensors: each waits for a GPU
  int64_t to_device = 0;  ///< copies to it
};
Counts& counts();

/// Recorders of the device. What a GPU's stream does not let be captured, copies from and to the CPU, is refused.
MakeRecorder recorders();

/// While one lives, the device's memory can be read and written: what a kernel's launch is.
class Open {
 public:
  Open();
  ~Open();
  Open(const Open&) = delete;
  Open& operator=(const Open&) = delete;
};

}  // namespace dept::sim
