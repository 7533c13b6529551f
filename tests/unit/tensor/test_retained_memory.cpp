#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "dept/tensor/retained_memory.h"

namespace dept {
namespace {

constexpr size_t megabyte = size_t{1} << 20;

TEST(RetainedMemory, GivesAlignedMemoryThatNobodyElseHas) {
  RetainedMemory memory(256 * megabyte);
  std::mt19937 random(1);
  struct Held {
    c10::DataPtr data;
    size_t bytes;
    uint8_t mark;
  };
  std::vector<Held> held;
  for (int i = 0; i < 3000; ++i) {
    if (!held.empty() && random() % 2 == 0) {
      const size_t at = random() % held.size();
      const auto* bytes = static_cast<const uint8_t*>(held[at].data.get());
      for (size_t b : {size_t{0}, held[at].bytes / 2, held[at].bytes - 1}) ASSERT_EQ(bytes[b], held[at].mark);
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(at));
      continue;
    }
    const size_t bytes = 1 + random() % (random() % 2 == 0 ? 1000 : 2 * megabyte);
    held.push_back({memory.allocate(bytes), bytes, static_cast<uint8_t>(i)});
    ASSERT_EQ(reinterpret_cast<uintptr_t>(held.back().data.get()) % 64, 0U);
    std::memset(held.back().data.get(), held.back().mark, bytes);
  }
}

TEST(RetainedMemory, TakesTheSameRoomStepAfterStep) {
  RetainedMemory memory(512 * megabyte);
  size_t first = 0;
  for (int step = 0; step < 20; ++step) {
    std::vector<c10::DataPtr> layers;
    for (int layer = 0; layer < 12; ++layer) {
      layers.push_back(memory.allocate(3 * megabyte + static_cast<size_t>(step % 5) * 4096));
      const auto branch = memory.allocate(5 * megabyte);
    }
    while (!layers.empty()) layers.pop_back();
    if (step == 4) first = memory.reached();
  }
  EXPECT_EQ(memory.reached(), first);
  EXPECT_LT(first, 12 * (3 * megabyte + 32768) + 6 * megabyte);
}

TEST(RetainedMemory, BeyondItsRoomTheSystemGives) {
  RetainedMemory memory(megabyte);
  const auto first = memory.allocate(megabyte / 2), second = memory.allocate(4 * megabyte);
  ASSERT_NE(second.get(), nullptr);
  std::memset(second.get(), 1, 4 * megabyte);
  EXPECT_LE(memory.reached(), megabyte);
}

TEST(RetainedMemory, RawMemoryGoesBackByItsAddressAlone) {
  RetainedMemory memory(64 * megabyte);
  void* raw = memory.raw_allocate(megabyte);
  std::memset(raw, 1, megabyte);
  memory.raw_deallocate(raw);
  const auto again = memory.allocate(megabyte);
  EXPECT_EQ(again.get(), raw);
}

TEST(RetainedMemory, NothingGoesBackAsNothing) {
  RetainedMemory memory(megabyte);
  memory.raw_deallocate(memory.raw_allocate(0));
  EXPECT_EQ(memory.reached(), 0);
}

}  // namespace
}  // namespace dept
