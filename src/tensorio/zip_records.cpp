#include "tensorio/zip_records.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "dept/base/error.h"
#include "dept/base/text.h"

// Format: records, each behind a local header; the central directory, a header a record; the directory's end, before which a
// zip64 file has a larger one and its locator. Fields of 32 bits that are all ones stand in the header's zip64 part.
namespace dept {
namespace {

constexpr uint32_t local_magic = 0x04034b50, entry_magic = 0x02014b50, end_magic = 0x06054b50, end64_magic = 0x06064b50,
                   locator_magic = 0x07064b50;
constexpr uint64_t local_bytes = 30, entry_bytes = 46, end_bytes = 22, locator_bytes = 20;
constexpr uint16_t zip64_part = 1, encrypted = 1, stored = 0;
constexpr uint32_t elsewhere = std::numeric_limits<uint32_t>::max();

struct Range {
  uint64_t begin, end;
  std::string name;
};

class Directory {
 public:
  Directory(std::span<const std::byte> archive, const std::string& where) : archive_(archive), where_(where) {}

  ZipRecords read() {
    read_end();
    std::vector<Range> ranges;
    for (uint64_t i = 0, at = begin_; i < count_; ++i) ranges.push_back(read_entry(at));
    std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) { return a.begin < b.begin; });
    ZipRecords records;
    uint64_t last = 0;
    for (const auto& [begin, end, name] : ranges) {
      if (begin < last) fail(Code::bad_input, where_, "records that do not overlap", quote(name));
      last = end;
      if (!records.emplace(name, archive_.subspan(begin, end - begin)).second)
        fail(Code::bad_input, where_, "each record's name once", quote(name));
    }
    return records;
  }

 private:
  template <class T>
  T load(uint64_t at) const {
    if (at > archive_.size() || archive_.size() - at < sizeof(T)) refuse();
    T value;
    std::memcpy(&value, archive_.data() + at, sizeof value);
    return value;
  }
  [[noreturn]] void refuse() const { fail(Code::bad_input, where_, "a whole zip archive", "one cut or changed"); }

  void read_end() {
    if (archive_.size() < end_bytes) refuse();
    const uint64_t end = archive_.size() - end_bytes;
    if (load<uint32_t>(end) != end_magic) refuse();
    count_ = load<uint16_t>(end + 10);
    begin_ = load<uint32_t>(end + 16);
    if (end < locator_bytes || load<uint32_t>(end - locator_bytes) != locator_magic) return;
    const auto end64 = load<uint64_t>(end - locator_bytes + 8);
    if (end64 > end || load<uint32_t>(end64) != end64_magic) refuse();
    count_ = load<uint64_t>(end64 + 32);
    begin_ = load<uint64_t>(end64 + 48);
  }

  // The record of the directory's entry at `at`, which moves on to the next one.
  Range read_entry(uint64_t& at) const {
    if (load<uint32_t>(at) != entry_magic) refuse();
    const uint64_t name_at = at + entry_bytes, name_bytes = load<uint16_t>(at + 28);
    const uint64_t extra_at = name_at + name_bytes, extra_end = extra_at + load<uint16_t>(at + 30);
    if (extra_end > archive_.size()) refuse();
    Range range{0, 0, std::string(reinterpret_cast<const char*>(archive_.data() + name_at), name_bytes)};
    if (load<uint16_t>(at + 10) != stored || (load<uint16_t>(at + 8) & encrypted) != 0)
      fail(Code::bad_input, str(where_, ": ", quote(range.name)), "a record stored as it is, as torch.save does",
           "a compressed or encrypted one");

    uint64_t size = load<uint32_t>(at + 24), packed = load<uint32_t>(at + 20), local = load<uint32_t>(at + 42);
    read_zip64(extra_at, extra_end, {&size, &packed, &local});
    if (size != packed) refuse();
    range.begin = record_begin(local);
    if (range.begin > begin_ || size > begin_ - range.begin) refuse();
    range.end = range.begin + size;
    at = extra_end + load<uint16_t>(at + 32);
    return range;
  }

  // Fills in those of `fields` that the 32-bit header has no room for.
  void read_zip64(uint64_t at, uint64_t end, std::initializer_list<uint64_t*> fields) const {
    while (at + 4 <= end && load<uint16_t>(at) != zip64_part) at += 4 + load<uint16_t>(at + 2);
    at += 4;
    for (uint64_t* field : fields) {
      if (*field != elsewhere) continue;
      if (at + sizeof(uint64_t) > end) refuse();
      *field = load<uint64_t>(at);
      at += sizeof(uint64_t);
    }
  }

  uint64_t record_begin(uint64_t local) const {
    if (load<uint32_t>(local) != local_magic) refuse();
    return local + local_bytes + load<uint16_t>(local + 26) + load<uint16_t>(local + 28);
  }

  std::span<const std::byte> archive_;
  const std::string& where_;
  uint64_t count_ = 0, begin_ = 0;  // of the central directory
};

}  // namespace

ZipRecords read_zip_records(std::span<const std::byte> archive, const std::string& where) {
  return Directory(archive, where).read();
}

}  // namespace dept
