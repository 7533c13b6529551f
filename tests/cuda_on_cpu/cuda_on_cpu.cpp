#include "cuda_on_cpu.h"

#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <new>
#include <span>
#include <utility>
#include <vector>

namespace cuda_on_cpu {

Ahead ahead = Ahead::first_warp;

void die(const char* what) {
  std::fprintf(stderr, "cuda_on_cpu: %s\n", what);
  std::abort();
}

namespace {

constexpr unsigned most_threads = 1024, most_in_grid_y = 65535;
constexpr size_t most_shared = size_t{227} * 1024, stack_bytes = size_t{128} * 1024, alignment = 128;

// Memory whose every number is NaN, exactly as large as it is asked for.
class Poisoned {
 public:
  explicit Poisoned(size_t bytes) : data_(::operator new(bytes, std::align_val_t(alignment))) { std::memset(data_, 0xFF, bytes); }
  ~Poisoned() { ::operator delete(data_, std::align_val_t(alignment)); }
  Poisoned(const Poisoned&) = delete;
  Poisoned& operator=(const Poisoned&) = delete;
  void* data() const { return data_; }

 private:
  void* data_;
};

// A thread of a block: code with a stack of its own that gives way at a barrier.
struct Fiber {
  enum class State { ready, at_barrier, at_meeting, done };

  ucontext_t context{};
  std::unique_ptr<char[]> stack{new char[stack_bytes]};
  dim3 index;
  State state = State::ready;
  uint64_t value = 0;  // that it brings to its warp's meeting
  unsigned mask = 0;   // whom it waits for there
};

class Block {
 public:
  Block(dim3 size, const std::function<void()>& body) : size_(size), body_(body), fibers_(size.x * size.y * size.z) {}

  void run(dim3 index, size_t shared_bytes);

  dim3 index;
  std::unique_ptr<Poisoned> dynamic;
  std::map<std::pair<int, std::type_index>, std::unique_ptr<Poisoned>> named;
  Fiber* current = nullptr;

  size_t number(const Fiber& fiber) const { return static_cast<size_t>(&fiber - fibers_.data()); }
  Fiber& fiber(size_t number) {
    if (number >= fibers_.size()) die("a warp function reads a lane that does not exist");
    return fibers_[number];
  }
  void yield() { ::swapcontext(&current->context, &scheduler_); }
  void finish() {
    body_();
    current->state = Fiber::State::done;
    yield();
  }

 private:
  size_t in_order(size_t i, size_t count) const { return ahead == Ahead::first_warp ? i : count - 1 - i; }
  size_t warps() const { return (fibers_.size() + warp_size - 1) / warp_size; }
  std::span<Fiber> lanes(size_t warp) {
    const size_t first = warp * warp_size;
    return std::span(fibers_).subspan(first, std::min<size_t>(warp_size, fibers_.size() - first));
  }
  bool run_ready(std::span<Fiber> lanes);
  static bool release_meeting(std::span<Fiber> lanes);
  bool release_barrier();

  dim3 size_;
  const std::function<void()>& body_;
  std::vector<Fiber> fibers_;
  ucontext_t scheduler_{};
};

Block* now = nullptr;

void enter() {
  now->finish();
}

void Block::run(dim3 which, size_t shared_bytes) {
  index = which;
  dynamic = std::make_unique<Poisoned>(shared_bytes);
  named.clear();
  for (size_t i = 0; i < fibers_.size(); ++i) {
    Fiber& f = fibers_[i];
    const auto t = static_cast<unsigned>(i);
    f.index = {t % size_.x, t / size_.x % size_.y, t / size_.x / size_.y};
    f.state = Fiber::State::ready;
    ::getcontext(&f.context);
    f.context.uc_stack.ss_sp = f.stack.get();
    f.context.uc_stack.ss_size = stack_bytes;
    f.context.uc_link = nullptr;
    ::makecontext(&f.context, &enter, 0);
  }
  do {
    for (size_t i = 0; i < warps(); ++i) {
      const std::span<Fiber> warp = lanes(in_order(i, warps()));
      while (run_ready(warp) || release_meeting(warp)) {
      }
    }
  } while (release_barrier());
}

// Each lane that can go on does, as far as it gets. Whether there was any.
bool Block::run_ready(std::span<Fiber> lanes) {
  bool any = false;
  for (size_t i = 0; i < lanes.size(); ++i) {
    Fiber& f = lanes[in_order(i, lanes.size())];
    if (f.state != Fiber::State::ready) continue;
    any = true;
    current = &f;
    ::swapcontext(&scheduler_, &f.context);
  }
  return any;
}

// The lanes of a warp that wait for each other go on together. Whether there were any.
bool Block::release_meeting(std::span<Fiber> lanes) {
  unsigned waiting = 0, wanted = 0;
  for (size_t l = 0; l < lanes.size(); ++l) {
    if (lanes[l].state != Fiber::State::at_meeting) continue;
    waiting |= 1U << l;
    wanted |= lanes[l].mask;
  }
  if (waiting == 0) return false;
  if (lanes.size() < warp_size) wanted &= (1U << lanes.size()) - 1;
  if (wanted != waiting) die("a warp function that not all lanes of its mask reach");
  for (Fiber& f : lanes)
    if (f.state == Fiber::State::at_meeting) f.state = Fiber::State::ready;
  return true;
}

// All threads of the block go on behind their barrier. Whether there was one.
bool Block::release_barrier() {
  size_t waiting = 0;
  for (const Fiber& f : fibers_) waiting += f.state == Fiber::State::at_barrier ? 1 : 0;
  if (waiting == 0) return false;
  if (waiting != fibers_.size()) die("a barrier that not all threads of the block reach");
  for (Fiber& f : fibers_) f.state = Fiber::State::ready;
  return true;
}

}  // namespace

void run(dim3 grid, dim3 block, size_t shared_bytes, const std::function<void()>& body) {
  const unsigned threads = block.x * block.y * block.z;
  if (threads == 0 || threads > most_threads) die("a launch of a block without threads, or of more than 1024");
  if (shared_bytes > most_shared) die("a launch with more shared memory than a GPU has");
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) die("a launch of an empty grid");
  if (grid.y > most_in_grid_y || grid.z > most_in_grid_y) die("a launch of more than 65535 blocks in y or z");
  Block one(block, body);
  Block* const outer = std::exchange(now, &one);
  for (unsigned z = 0; z < grid.z; ++z)
    for (unsigned y = 0; y < grid.y; ++y)
      for (unsigned x = 0; x < grid.x; ++x) one.run({x, y, z}, shared_bytes);
  now = outer;
}

dim3 thread_index() {
  return now->current->index;
}
dim3 block_index() {
  return now->index;
}
unsigned lane() {
  return static_cast<unsigned>(now->number(*now->current)) % warp_size;
}
char* dynamic_shared() {
  return static_cast<char*>(now->dynamic->data());
}
void* static_shared(int line, std::type_index type, size_t bytes) {
  std::unique_ptr<Poisoned>& memory = now->named[{line, type}];
  if (!memory) memory = std::make_unique<Poisoned>(bytes);
  return memory->data();
}

void barrier() {
  now->current->state = Fiber::State::at_barrier;
  now->yield();
}
void meet(unsigned mask, uint64_t value) {
  if ((mask >> lane() & 1) == 0) die("a lane calls a warp function whose mask does not name it");
  Fiber& self = *now->current;
  self.value = value;
  self.mask = mask;
  self.state = Fiber::State::at_meeting;
  now->yield();
}
uint64_t brought_by(unsigned other) {
  return now->fiber(now->number(*now->current) / warp_size * warp_size + other).value;
}

}  // namespace cuda_on_cpu
