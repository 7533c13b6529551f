// A stretch of a device's work, recorded once and run again as a whole: a CUDA graph, or what stands for it in tests.
#pragma once

#include <functional>
#include <memory>

namespace dept {

class Recorder {
 public:
  virtual ~Recorder() = default;
  /// Records what `work` has the device do, whether or not it is done now. Of what work leaves the memory stays, of what it frees
  /// it is the next recording's of this kind. Throws what work throws, and where work waits for the device.
  virtual void record(const std::function<void()>& work) = 0;
  /// Does it again, on the memory that it was recorded with.
  virtual void replay() = 0;
};

/// Makes recorders that share the memory of their intermediate results: what they replay must not overlap.
using MakeRecorder = std::function<std::unique_ptr<Recorder>()>;

}  // namespace dept
