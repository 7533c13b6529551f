#include "dept/kernels/graphs.h"

#include "kernels/siblings.h"

namespace dept::kernels {

namespace cuda {
MakeRecorder graphs(c10::Device device);
}

MakeRecorder cuda_graphs(c10::Device device) {
  if (!device.is_cuda()) fail(Code::usage, "cuda_graphs", "a GPU (--device cuda)", device.str());
  return DEPT_CUDA_KERNEL(graphs)(device);
}

}  // namespace dept::kernels
