#include <zlib.h>

#include <algorithm>
#include <array>

#include "data/readers.h"
#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr int gzip_window = 15 + 16;  // zlib's largest window, in gzip's frame

class Inflater {
 public:
  Inflater(std::span<const std::byte> bytes, const fs::path& path) : path_(path), most_(free_bytes + most_growth * bytes.size()) {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(bytes.data()));
    rest_ = bytes.size();
    if (inflateInit2(&stream_, gzip_window) != Z_OK) fail(Code::resource, path_.string(), "memory to inflate it", "none");
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  std::string run() {
    do {
      member();
    } while (rest_ + stream_.avail_in > 0 && inflateReset(&stream_) == Z_OK);
    return std::move(out_);
  }

 private:
  // One member of the file, of which there may be several.
  void member() {
    std::array<char, 1 << 16> chunk;
    int state = Z_OK;
    while (state != Z_STREAM_END) {
      if (stream_.avail_in == 0) take_input();
      stream_.next_out = reinterpret_cast<Bytef*>(chunk.data());
      stream_.avail_out = chunk.size();
      state = inflate(&stream_, Z_NO_FLUSH);
      if (state == Z_BUF_ERROR) fail(Code::bad_input, path_.string(), "a whole gzip file", "a cut one");
      if (state != Z_OK && state != Z_STREAM_END)
        fail(Code::bad_input, path_.string(), "a gzip file", stream_.msg != nullptr ? stream_.msg : "something else");
      out_.append(chunk.data(), chunk.size() - stream_.avail_out);
      if (out_.size() > most_)
        fail(Code::bad_input, path_.string(), str("at most ", most_ >> 20, " MB behind a gzip file of its size"), "more");
    }
  }

  // zlib counts its input in 32 bits.
  void take_input() {
    const size_t count = std::min<size_t>(rest_, 1 << 30);
    stream_.avail_in = static_cast<uInt>(count);
    rest_ -= count;
  }

  const fs::path& path_;
  size_t most_;
  size_t rest_ = 0;  // of the input, not given to zlib yet
  z_stream stream_{};
  std::string out_;
};

}  // namespace

std::string inflate_gzip(std::span<const std::byte> bytes, const fs::path& path) {
  return Inflater(bytes, path).run();
}

}  // namespace dept
