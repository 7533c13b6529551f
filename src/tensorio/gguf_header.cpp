#include "tensorio/gguf_header.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <set>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "tensorio/plain_types.h"

namespace dept {
namespace {

constexpr size_t max_gguf_dimensions = 4;  // GGML's own limit
constexpr int max_array_depth = 16;
constexpr uint64_t default_alignment = 32;

enum class Kind : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };

// Reads forward through the file; `where` names what is being read and changes on the way.
class Cursor {
 public:
  Cursor(std::span<const std::byte> file, std::string where) : where(std::move(where)), file_(file) {}

  std::string where;

  uint64_t position() const { return position_; }
  uint64_t left() const { return file_.size() - position_; }

  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }

  std::string string() {
    const auto bytes = take(number<uint64_t>());
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  [[noreturn]] void refuse(std::string_view expected, std::string_view received) const {
    fail(Code::bad_input, where, expected, received);
  }

 private:
  std::span<const std::byte> take(uint64_t count) {
    if (count > left()) refuse(str(count, " bytes more"), str("a file that ends after ", left()));
    const auto bytes = file_.subspan(position_, count);
    position_ += count;
    return bytes;
  }

  std::span<const std::byte> file_;
  uint64_t position_ = 0;
};

Kind read_kind(Cursor& in) {
  const auto id = in.number<uint32_t>();
  if (id > static_cast<uint32_t>(Kind::f64)) in.refuse("a value type from 0 to 12", str(id));
  return static_cast<Kind>(id);
}

bool is_float(Kind kind) {
  return kind == Kind::f32 || kind == Kind::f64;
}

// The fewest bytes a value takes in the file: bounds an array's length before anything is allocated.
uint64_t least_bytes(Kind kind) {
  switch (kind) {
    case Kind::u8:
    case Kind::i8:
    case Kind::boolean:
      return 1;
    case Kind::u16:
    case Kind::i16:
      return 2;
    case Kind::u32:
    case Kind::i32:
    case Kind::f32:
      return 4;
    case Kind::u64:
    case Kind::i64:
    case Kind::f64:
    case Kind::string:
      return 8;
    case Kind::array:
      return 12;
  }
  return 1;
}

double read_float(Cursor& in, Kind kind) {
  return kind == Kind::f32 ? in.number<float>() : in.number<double>();
}

int64_t read_integer(Cursor& in, Kind kind) {
  switch (kind) {
    case Kind::u8:
      return in.number<uint8_t>();
    case Kind::i8:
      return in.number<int8_t>();
    case Kind::u16:
      return in.number<uint16_t>();
    case Kind::i16:
      return in.number<int16_t>();
    case Kind::u32:
      return in.number<uint32_t>();
    case Kind::i32:
      return in.number<int32_t>();
    case Kind::i64:
      return in.number<int64_t>();
    case Kind::boolean: {
      const auto value = in.number<uint8_t>();
      if (value > 1) in.refuse("a boolean stored as 0 or 1", str(static_cast<int>(value)));
      return value;
    }
    default: {
      const auto value = in.number<uint64_t>();
      if (value > static_cast<uint64_t>(INT64_MAX)) in.refuse("a whole number below 2^63", str(value));
      return static_cast<int64_t>(value);
    }
  }
}

struct ArrayHead {
  Kind kind;
  uint64_t count;
};

ArrayHead read_array_head(Cursor& in) {
  const Kind kind = read_kind(in);
  const auto count = in.number<uint64_t>();
  if (count > in.left() / least_bytes(kind))
    in.refuse(str("an array that fits the ", in.left(), " bytes left"), str(count, " values"));
  return {kind, count};
}

// Arrays of arrays are checked and left out: no reader wants them.
void skip_arrays(Cursor& in, uint64_t count, int depth) {
  if (depth > max_array_depth) in.refuse(str("arrays nested at most ", max_array_depth, " deep"), "deeper");
  for (uint64_t i = 0; i < count; ++i) {
    const ArrayHead head = read_array_head(in);
    if (head.kind == Kind::array) {
      skip_arrays(in, head.count, depth + 1);
    } else {
      for (uint64_t j = 0; j < head.count; ++j) {
        if (head.kind == Kind::string) {
          in.string();
        } else if (is_float(head.kind)) {
          read_float(in, head.kind);
        } else {
          read_integer(in, head.kind);
        }
      }
    }
  }
}

template <class T, class Read>
std::vector<T> read_list(uint64_t count, const Read& read) {
  std::vector<T> list;
  list.reserve(count);
  for (uint64_t i = 0; i < count; ++i) list.push_back(read());
  return list;
}

std::optional<GgufValue> read_array(Cursor& in) {
  const ArrayHead head = read_array_head(in);
  if (head.kind == Kind::array) {
    skip_arrays(in, head.count, 2);
    return std::nullopt;
  }
  if (head.kind == Kind::string) return read_list<std::string>(head.count, [&] { return in.string(); });
  if (is_float(head.kind)) return read_list<double>(head.count, [&] { return read_float(in, head.kind); });
  return read_list<int64_t>(head.count, [&] { return read_integer(in, head.kind); });
}

std::optional<GgufValue> read_value(Cursor& in) {
  const Kind kind = read_kind(in);
  if (kind == Kind::array) return read_array(in);
  if (kind == Kind::string) return in.string();
  if (is_float(kind)) return read_float(in, kind);
  if (kind == Kind::boolean) return read_integer(in, kind) != 0;
  return read_integer(in, kind);
}

void read_metadata(Cursor& in, uint64_t count, const std::string& where, GgufHeader& header) {
  std::set<std::string> seen;
  for (uint64_t i = 0; i < count; ++i) {
    in.where = str(where, ": metadata ", i + 1, " of ", count);
    std::string key = in.string();
    in.where = str(where, ": ", quote(key));
    if (!seen.insert(key).second) in.refuse("each key once", "it twice");
    if (auto value = read_value(in)) header.metadata.emplace(std::move(key), std::move(*value));
  }
}

uint64_t alignment_of(const GgufHeader& header, const std::string& where) {
  const auto found = header.metadata.find("general.alignment");
  if (found == header.metadata.end()) return default_alignment;
  const auto* value = std::get_if<int64_t>(&found->second);
  if (value == nullptr || *value <= 0 || *value > int64_t{1} << 30 || !std::has_single_bit(static_cast<uint64_t>(*value)))
    fail(Code::bad_input, str(where, ": general.alignment"), "a power of two up to 2^30",
         value ? str(*value) : "another kind of value");
  return static_cast<uint64_t>(*value);
}

// Shape, type and place of one tensor; `begin` is still counted from the start of the data.
GgufEntry read_entry(Cursor& in, uint64_t alignment, const std::string& where) {
  GgufEntry entry{};
  entry.name = in.string();
  in.where = str(where, ": ", quote(entry.name));
  const auto dimensions = in.number<uint32_t>();
  if (dimensions > max_gguf_dimensions) in.refuse(str("at most ", max_gguf_dimensions, " dimensions"), str(dimensions));
  for (uint32_t i = 0; i < dimensions; ++i) {
    const auto size = in.number<uint64_t>();
    if (size > static_cast<uint64_t>(INT64_MAX)) in.refuse("dimensions below 2^63", str(size));
    entry.shape.insert(entry.shape.begin(), static_cast<int64_t>(size));
  }
  const auto type = in.number<uint32_t>();
  entry.type = find_ggml_type(type);
  if (entry.type == nullptr) in.refuse(str("one of the types ", ggml_type_names()), str("type ", type));
  entry.begin = in.number<uint64_t>();
  if (entry.begin % alignment != 0) in.refuse(str("an offset that is a multiple of ", alignment), str(entry.begin));

  const auto row = entry.shape.empty() ? 1 : static_cast<uint64_t>(entry.shape.back());
  if (row % entry.type->block_values != 0)
    in.refuse(str("rows of whole blocks of ", entry.type->block_values, " values"), str("the shape ", shape_text(entry.shape)));
  const auto count = element_count(entry.shape);
  if (!count || __builtin_mul_overflow(*count / entry.type->block_values, entry.type->block_bytes, &entry.bytes))
    in.refuse("a size below 2^63", str("the shape ", shape_text(entry.shape)));
  return entry;
}

void check_places(const std::vector<GgufEntry>& entries, const std::string& where) {
  std::vector<const GgufEntry*> by_place;
  by_place.reserve(entries.size());
  for (const GgufEntry& entry : entries) by_place.push_back(&entry);
  std::sort(by_place.begin(), by_place.end(),
            [](const GgufEntry* a, const GgufEntry* b) { return std::pair(a->begin, a->bytes) < std::pair(b->begin, b->bytes); });
  for (size_t i = 1; i < by_place.size(); ++i) {
    const GgufEntry &before = *by_place[i - 1], &entry = *by_place[i];
    if (entry.begin < before.begin + before.bytes)
      fail(Code::bad_input, str(where, ": ", quote(entry.name)),
           str("data of its own, from byte ", before.begin + before.bytes, " on"),
           str("an overlap with ", quote(before.name), " from byte ", entry.begin));
  }
}

void read_entries(Cursor& in, uint64_t count, const std::string& where, GgufHeader& header) {
  const uint64_t alignment = alignment_of(header, where);
  std::set<std::string> seen;
  for (uint64_t i = 0; i < count; ++i) {
    in.where = str(where, ": tensor ", i + 1, " of ", count);
    header.entries.push_back(read_entry(in, alignment, where));
    if (!seen.insert(header.entries.back().name).second) in.refuse("each tensor once", "it twice");
  }
  const uint64_t padding = (alignment - in.position() % alignment) % alignment;
  const uint64_t data = in.left() < padding ? 0 : in.left() - padding;
  for (GgufEntry& entry : header.entries) {
    if (entry.begin > data || entry.bytes > data - entry.begin)
      fail(Code::bad_input, str(where, ": ", quote(entry.name)),
           str(entry.bytes, " bytes from byte ", entry.begin, " of the data"), str("a file with ", data, " bytes of data"));
    entry.begin += in.position() + padding;
  }
  check_places(header.entries, where);
}

}  // namespace

GgufHeader parse_gguf_header(std::span<const std::byte> file, const std::string& where) {
  Cursor in(file, where);
  static constexpr std::string_view magic = "GGUF";
  if (file.size() < magic.size() || std::memcmp(file.data(), magic.data(), magic.size()) != 0)
    in.refuse("a GGUF file", quote({reinterpret_cast<const char*>(file.data()), std::min(file.size(), magic.size())}));
  in.number<uint32_t>();
  const auto version = in.number<uint32_t>();
  if (version != 2 && version != 3) {
    const bool big_endian = version != 0 && version % (1u << 24) == 0;
    in.refuse("GGUF version 2 or 3", big_endian ? "a big-endian file" : str("version ", version));
  }
  const auto tensors = in.number<uint64_t>(), values = in.number<uint64_t>();
  GgufHeader header;
  read_metadata(in, values, where, header);
  read_entries(in, tensors, where, header);
  return header;
}

}  // namespace dept
