// Recorders by CUDA graphs, on a stream of their own: the default stream cannot be captured.
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "dept/tensor/recorder.h"

namespace dept::kernels::cuda {

MakeRecorder graphs(c10::Device device);

namespace {

using c10::cuda::CUDAStream;

void wait_for(CUDAStream stream, CUDAStream before) {
  at::cuda::CUDAEvent done;
  done.record(before);
  done.block(stream);
}

class CudaGraph : public Recorder {
 public:
  CudaGraph(CUDAStream side, at::cuda::MempoolId_t pool) : side_(side), pool_(pool) {}

  void record(const std::function<void()>& work) override {
    const CUDAStream stream = c10::cuda::getCurrentCUDAStream(side_.device_index());
    wait_for(side_, stream);
    {
      const c10::cuda::CUDAStreamGuard guard(side_);
      capture(work);
    }
    wait_for(stream, side_);
  }

  void replay() override {
    const c10::cuda::CUDAGuard guard(side_.device_index());
    graph_.replay();  // on the current stream
  }

 private:
  // Calls of other threads are not held to be this one's.
  void capture(const std::function<void()>& work) {
    graph_.capture_begin(pool_, cudaStreamCaptureModeThreadLocal);
    try {
      work();
    } catch (...) {
      give_up();
      throw;
    }
    graph_.capture_end();
  }

  // Ends a capture that has failed, as far as it has not ended by that; the allocator is to know of it, too.
  void give_up() {
    const auto try_to = [](const auto& end) {
      try {
        end();
      } catch (const std::exception&) {
        cudaGetLastError();
      }
    };
    try_to([&] { graph_.capture_end(); });
    try_to([&] { c10::cuda::CUDACachingAllocator::endAllocateToPool(side_.device_index(), pool_); });
    graph_.reset();
  }

  CUDAStream side_;
  at::cuda::MempoolId_t pool_;
  at::cuda::CUDAGraph graph_;
};

}  // namespace

MakeRecorder graphs(c10::Device device) {
  const CUDAStream side = c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index());
  return [side, pool = at::cuda::graph_pool_handle()] { return std::make_unique<CudaGraph>(side, pool); };
}

}  // namespace dept::kernels::cuda
