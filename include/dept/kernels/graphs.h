// CUDA graphs.
#pragma once

#include <c10/core/Device.h>

#include "dept/tensor/recorder.h"

namespace dept::kernels {

/// Recorders on a GPU. Throws usage for another device, and in a build without CUDA.
MakeRecorder cuda_graphs(c10::Device device);

}  // namespace dept::kernels
