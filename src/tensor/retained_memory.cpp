#include "dept/tensor/retained_memory.h"

#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <new>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr size_t alignment = 64, page = 4096, smallest = 16384;

// In front of every block, so that its address alone says how to give it back.
struct Header {
  RetainedMemory* owner;
  size_t bytes;
};
static_assert(sizeof(Header) <= alignment);

size_t round_up(size_t bytes, size_t step) {
  return (bytes + step - 1) / step * step;
}

size_t physical_memory() {
  return static_cast<size_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(::sysconf(_SC_PAGE_SIZE));
}

}  // namespace

RetainedMemory::RetainedMemory(size_t room) : room_(room) {
  void* range = ::mmap(nullptr, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED) {
    room_ = 0;
    return;
  }
  base_ = static_cast<char*>(range);
  ::madvise(range, room, MADV_HUGEPAGE);
}

RetainedMemory::~RetainedMemory() {
  if (base_ != nullptr) ::munmap(base_, room_);
}

void RetainedMemory::add_free(char* begin, size_t bytes) {
  free_.emplace(begin, bytes);
  by_size_.emplace(bytes, begin);
}

void RetainedMemory::remove_free(char* begin, size_t bytes) {
  free_.erase(begin);
  by_size_.erase({bytes, begin});
}

char* RetainedMemory::take(size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (const auto fit = by_size_.lower_bound({bytes, nullptr}); fit != by_size_.end()) {
    const auto [size, begin] = *fit;
    remove_free(begin, size);
    if (size > bytes) add_free(begin + bytes, size - bytes);
    return begin;
  }
  if (room_ - top_ < bytes) return nullptr;
  char* begin = base_ + top_;
  top_ += bytes;
  reached_ = std::max(reached_, top_);
  return begin;
}

void RetainedMemory::give_back(char* begin, size_t bytes) {
  const std::lock_guard lock(mutex_);
  const auto behind = free_.lower_bound(begin);
  if (behind != free_.end() && behind->first == begin + bytes) {
    const size_t more = behind->second;
    remove_free(begin + bytes, more);
    bytes += more;
  }
  const auto after = free_.lower_bound(begin);
  if (after != free_.begin()) {
    const auto [front, size] = *std::prev(after);
    if (front + size == begin) {
      remove_free(front, size);
      begin = front;
      bytes += size;
    }
  }
  if (begin + bytes == base_ + top_)
    top_ -= bytes;
  else
    add_free(begin, bytes);
}

void RetainedMemory::release(void* data) {
  if (data == nullptr) return;
  char* begin = static_cast<char*>(data) - alignment;
  const Header header = *reinterpret_cast<Header*>(begin);
  if (header.owner != nullptr)
    header.owner->give_back(begin, header.bytes);
  else
    std::free(begin);
}

c10::DataPtr RetainedMemory::allocate(size_t bytes) {
  const c10::Device cpu(c10::kCPU);
  if (bytes == 0) return {nullptr, nullptr, &release, cpu};
  const size_t padded = round_up(bytes + alignment, bytes < smallest ? alignment : page);
  char* begin = bytes < smallest ? nullptr : take(padded);
  RetainedMemory* owner = begin != nullptr ? this : nullptr;
  if (begin == nullptr) begin = static_cast<char*>(std::aligned_alloc(alignment, padded));
  if (begin == nullptr) fail(Code::resource, "memory", str(bytes, " more bytes"), "none");
  new (begin) Header{owner, padded};
  char* data = begin + alignment;
  return {data, data, &release, cpu};
}

c10::DeleterFnPtr RetainedMemory::raw_deleter() const {
  return &release;
}

RetainedMemory& lasting_memory() {
  static auto* const memory = new RetainedMemory(physical_memory());  // outlives all tensors
  return *memory;
}

void retain_tensor_memory() {
  static auto* const memory = new RetainedMemory(physical_memory());  // likewise
  c10::SetCPUAllocator(memory, 1);
}

}  // namespace dept
