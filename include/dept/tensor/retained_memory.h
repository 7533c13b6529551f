// Memory for tensors that stays with the process: a training step takes and gives back the same hundreds of megabytes again and
// again, in slightly other sizes.
#pragma once

#include <c10/core/Allocator.h>

#include <cstddef>
#include <map>
#include <mutex>
#include <set>
#include <utility>

namespace dept {

/// Best fit over one range of addresses, neighbours joined when they are free. What is smaller than 16 KB, or finds no room,
/// comes from the system.
class RetainedMemory : public c10::Allocator {
 public:
  /// Reserves (and does not touch) `room` bytes of addresses.
  explicit RetainedMemory(size_t room);
  ~RetainedMemory() override;
  RetainedMemory(const RetainedMemory&) = delete;
  RetainedMemory& operator=(const RetainedMemory&) = delete;

  /// Aligned to 64 bytes. Throws resource when there is no memory.
  c10::DataPtr allocate(size_t bytes) override;
  c10::DeleterFnPtr raw_deleter() const override;
  void copy_data(void* to, const void* from, std::size_t bytes) const override { default_copy_data(to, from, bytes); }

  /// Bytes from the range's start to the end of what has ever been in use.
  size_t reached() const { return reached_; }

 private:
  static void release(void* data);
  char* take(size_t bytes);
  void give_back(char* begin, size_t bytes);
  void add_free(char* begin, size_t bytes);
  void remove_free(char* begin, size_t bytes);

  std::mutex mutex_;
  char* base_ = nullptr;
  size_t room_ = 0, top_ = 0, reached_ = 0;     // everything from top_ on is free
  std::map<char*, size_t> free_;                // below top_, by address
  std::set<std::pair<size_t, char*>> by_size_;  // the same
};

/// One range for what outlives a step's tensors, as packed weights do: among those they would tear holes. Large pages lie side by
/// side in it.
RetainedMemory& lasting_memory();

/// Makes it where this process's CPU tensors get their memory from, from now on.
void retain_tensor_memory();

}  // namespace dept
