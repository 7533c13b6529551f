// Stands in for libFuzzer where the compiler has none: fuzz_x SECONDS SEED_FILE... runs the entry point on every truncation of
// the seeds, on every flipped bit of their first bytes, and on random mutations (the same ones each time) until the time is over.
// DEPT_FUZZ_SECONDS stands for SECONDS when it is set. An input that ends the program lies in NAME.input, whichever way it ended.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Bytes = std::vector<uint8_t>;
using Clock = std::chrono::steady_clock;

constexpr size_t flipped_bytes = 1024, truncations = 2048, largest = size_t{1} << 20;

class Fuzzer {
 public:
  Fuzzer(const std::string& input_name, double seconds)
      : kept_(::open(input_name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)),
        end_(Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds))) {}

  bool time_left() const { return Clock::now() < end_; }
  size_t runs() const { return runs_; }

  void run(const Bytes& input) {
    // Written before the run: after a crash it is too late. The file stays open, as opening it anew each time is slow.
    if (::pwrite(kept_, input.data(), input.size(), 0) < 0 || ::ftruncate(kept_, static_cast<off_t>(input.size())) != 0)
      std::abort();
    LLVMFuzzerTestOneInput(input.data(), input.size());
    ++runs_;
  }

  void truncate_and_flip(const Bytes& seed) {
    const size_t step = std::max<size_t>(1, seed.size() / truncations);
    for (size_t size = 0; size <= seed.size(); size += step)
      run(Bytes(seed.begin(), seed.begin() + static_cast<ptrdiff_t>(size)));
    Bytes flipped = seed;
    for (size_t bit = 0; bit < std::min(seed.size(), flipped_bytes) * 8; ++bit) {
      flipped[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
      run(flipped);
      flipped[bit / 8] = seed[bit / 8];
    }
  }

  void mutate(Bytes bytes) {
    for (size_t count = 1 + below(4); count > 0; --count) mutate_once(bytes);
    run(bytes);
  }

  size_t below(size_t limit) { return limit == 0 ? 0 : random_() % limit; }

 private:
  void mutate_once(Bytes& bytes) {
    static constexpr uint64_t telling[] = {0,           1,           0x7F,       0x80,       0xFF,       0xFFFF,     0x7FFFFFFF,
                                           0x80000000u, 0xFFFFFFFFu, 1ull << 32, 1ull << 60, 1ull << 62, 1ull << 63, ~0ull};
    const size_t at = below(bytes.size()), length = std::min(1 + below(16), bytes.size() - at);
    const auto from = bytes.begin() + static_cast<ptrdiff_t>(at);
    switch (below(6)) {
      case 0:
        if (!bytes.empty()) bytes[at] ^= static_cast<uint8_t>(1 << below(8));
        break;
      case 1:
        if (!bytes.empty()) bytes[at] = static_cast<uint8_t>(random_());
        break;
      case 2: {
        const uint64_t value = telling[below(std::size(telling))];
        std::memcpy(bytes.data() + at, &value, std::min<size_t>(bytes.size() - at, below(2) ? 8 : 4));
        break;
      }
      case 3:
        bytes.erase(from, from + static_cast<ptrdiff_t>(length));
        break;
      case 4: {
        const Bytes copy(from, from + static_cast<ptrdiff_t>(length));
        if (bytes.size() < largest)
          bytes.insert(bytes.begin() + static_cast<ptrdiff_t>(below(bytes.size())), copy.begin(), copy.end());
        break;
      }
      default:
        bytes.resize(bytes.size() - below(std::min<size_t>(bytes.size(), 64)));
    }
  }

  int kept_;
  Clock::time_point end_;
  std::mt19937_64 random_{1};
  size_t runs_ = 0;
};

Bytes read(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::fprintf(stderr, "[%s] expected a seed file, received none\n", path);
    std::exit(2);
  }
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return std::fprintf(stderr, "usage: %s SECONDS SEED_FILE...\n", argv[0]), 2;
  const std::string input_name = std::string(argv[0]) + ".input";
  const char* seconds = std::getenv("DEPT_FUZZ_SECONDS");
  Fuzzer fuzzer(input_name, std::atof(seconds != nullptr ? seconds : argv[1]));
  std::vector<Bytes> seeds;
  for (int i = 2; i < argc; ++i) seeds.push_back(read(argv[i]));
  for (const Bytes& seed : seeds) {
    fuzzer.run(seed);
    fuzzer.truncate_and_flip(seed);
  }
  while (fuzzer.time_left()) fuzzer.mutate(seeds[fuzzer.below(seeds.size())]);
  std::remove(input_name.c_str());
  std::printf("%zu inputs\n", fuzzer.runs());
}
