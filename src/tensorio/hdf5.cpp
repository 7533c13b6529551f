#include "dept/tensorio/hdf5.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "tensorio/plain_types.h"

namespace dept {
namespace {

// The HDF5 File Format Specification, version 3. Numbers are little-endian; addresses and lengths have 8 bytes here.
constexpr std::array<uint8_t, 8> hdf5_signature{0x89, 'H', 'D', 'F', '\r', '\n', 0x1A, '\n'};
constexpr uint64_t undefined_address = ~uint64_t{0};
constexpr size_t most_hdf5_messages = 4096, most_hdf5_levels = 64, most_hdf5_rank = 32;

enum class Hdf5Message : uint16_t {
  dataspace = 0x01,
  link_info = 0x02,
  datatype = 0x03,
  link = 0x06,
  external_files = 0x07,
  layout = 0x08,
  filters = 0x0B,
  continuation = 0x10,
  symbol_table = 0x11,
};

// The bytes of a file or of a part of it; what reaches outside is an error.
class Hdf5Bytes {
 public:
  Hdf5Bytes(std::span<const std::byte> bytes, std::string_view where) : bytes_(bytes), where_(where) {}

  Hdf5Bytes at(uint64_t address, uint64_t size) const {
    if (address > bytes_.size() || size > bytes_.size() - address)
      refuse("parts inside the file", str(size, " bytes at ", address, " of ", bytes_.size()));
    return {bytes_.subspan(address, size), where_};
  }
  template <class T>
  T number(uint64_t address) const {
    T value;
    std::memcpy(&value, at(address, sizeof value).bytes_.data(), sizeof value);
    return value;
  }
  uint64_t address(uint64_t at) const { return number<uint64_t>(at); }
  void expect_signature(std::string_view signature) const {
    if (std::memcmp(at(0, signature.size()).bytes_.data(), signature.data(), signature.size()) != 0)
      refuse(str("a part that begins with ", signature), "another");
  }
  // The bytes up to a zero.
  std::string_view text(uint64_t begin) const {
    const Hdf5Bytes rest = at(begin, bytes_.size() - std::min<uint64_t>(begin, bytes_.size()));
    const auto* start = reinterpret_cast<const char*>(rest.bytes_.data());
    const size_t length = ::strnlen(start, rest.size());
    if (length == rest.size()) refuse("names that end with a zero byte", "one without");
    return {start, length};
  }
  [[noreturn]] void refuse(std::string_view expected, std::string_view received) const {
    fail(Code::bad_input, where_, expected, received);
  }

  size_t size() const { return bytes_.size(); }
  std::span<const std::byte> span() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
  std::string_view where_;
};

struct Hdf5Part {
  Hdf5Message type;
  Hdf5Bytes bytes;
};

// The messages of an object's header: a prefix of 16 bytes, then stretches of messages, each of type (2 bytes), size (2),
// flags (1), 3 unused, and its own bytes. A continuation names a further stretch.
std::vector<Hdf5Part> header_messages(const Hdf5Bytes& file, uint64_t address) {
  constexpr uint64_t prefix = 16, message_prefix = 8;
  constexpr uint8_t shared_flag = 2;
  const Hdf5Bytes start = file.at(address, prefix);
  if (start.number<uint8_t>(0) != 1)
    file.refuse("object headers of version 1 (h5py's default, without libver and track_order)", "another");
  std::vector<Hdf5Part> messages;
  std::vector<Hdf5Bytes> stretches{file.at(address + prefix, start.number<uint32_t>(8))};
  for (size_t i = 0; i < stretches.size(); ++i) {
    const Hdf5Bytes stretch = stretches[i];
    for (uint64_t at = 0; at + message_prefix <= stretch.size();) {
      const auto type = stretch.number<Hdf5Message>(at);
      const auto size = stretch.number<uint16_t>(at + 2);
      const Hdf5Bytes body = stretch.at(at + message_prefix, size);
      if ((stretch.number<uint8_t>(at + 4) & shared_flag) != 0 &&
          (type == Hdf5Message::dataspace || type == Hdf5Message::datatype))
        file.refuse("types and shapes that stand in their data set", "shared ones");
      if (messages.size() == most_hdf5_messages) file.refuse(str("at most ", most_hdf5_messages, " header messages"), "more");
      if (type == Hdf5Message::continuation) stretches.push_back(file.at(body.address(0), body.address(8)));
      messages.push_back({type, body});
      at += message_prefix + size;
    }
  }
  return messages;
}

std::optional<Hdf5Bytes> find_message(const std::vector<Hdf5Part>& messages, Hdf5Message type) {
  for (const Hdf5Part& message : messages)
    if (message.type == type) return message.bytes;
  return std::nullopt;
}

// A group: a tree of names, of which a leaf points to a table of symbols; the names stand in a heap.
class Hdf5Group {
 public:
  Hdf5Group(const Hdf5Bytes& file, uint64_t header) : file_(file), heap_(file.at(0, 0)) {
    const std::vector<Hdf5Part> messages = header_messages(file, header);
    const auto table = find_message(messages, Hdf5Message::symbol_table);
    if (!table && (find_message(messages, Hdf5Message::link_info) || find_message(messages, Hdf5Message::link)))
      file.refuse("groups of the earliest format (h5py's default, without track_order or libver)", "a later one");
    if (!table) file.refuse("a group", "another object");
    tree_ = table->address(0);
    const Hdf5Bytes heap = file.at(table->address(8), 32);
    heap.expect_signature("HEAP");
    heap_ = file.at(heap.address(24), heap.address(8));
  }

  // The header of the object of this name; absent where there is none.
  std::optional<uint64_t> find(std::string_view name) const {
    const auto leaf = leaf_of([&](const Hdf5Bytes& node, uint16_t children) {
      uint16_t child = 0;  // the first whose last name is not before `name`
      while (child + 1 < children && heap_.text(node.address(key_after(child))) < name) ++child;
      return child;
    });
    if (!leaf) return std::nullopt;
    for (uint16_t i = 0; i < symbols(*leaf); ++i)
      if (heap_.text(leaf->address(symbol(i))) == name) return object(*leaf, i, name);
    return std::nullopt;
  }

  std::optional<std::string> first_name() const {
    const auto leaf = leaf_of([](const Hdf5Bytes&, uint16_t) { return uint16_t{0}; });
    if (!leaf || symbols(*leaf) == 0) return std::nullopt;
    return std::string(heap_.text(leaf->address(symbol(0))));
  }

 private:
  static constexpr uint64_t node_prefix = 24, symbol_prefix = 8, symbol_size = 40;

  // A node: "TREE", kind (0: group), level, number of children (2 bytes), two neighbours, then key, child, key, .., child, key.
  static uint64_t child_at(uint64_t child) { return node_prefix + 16 * child + 8; }
  static uint64_t key_after(uint64_t child) { return child_at(child) + 8; }
  // A leaf's table: "SNOD", version, unused, number of symbols (2 bytes), then for each the name's place in the heap, the
  // header's address, and 24 bytes of which the first tells links apart.
  static uint64_t symbol(uint64_t i) { return symbol_prefix + symbol_size * i; }
  static uint16_t symbols(const Hdf5Bytes& leaf) { return leaf.number<uint16_t>(6); }

  // From the root down, one level a step, by choose(node, number of children).
  template <class Choose>
  std::optional<Hdf5Bytes> leaf_of(Choose choose) const {
    uint64_t address = tree_;
    for (int level = -1; level != 0;) {
      const Hdf5Bytes head = file_.at(address, node_prefix);
      head.expect_signature("TREE");
      const auto kind = head.number<uint8_t>(4), found = head.number<uint8_t>(5);
      const auto children = head.number<uint16_t>(6);
      if (kind != 0 || found >= most_hdf5_levels || (level > 0 && found != level - 1))
        file_.refuse("a tree of names whose levels descend by one", str("kind ", int{kind}, ", level ", int{found}));
      level = found;
      if (children == 0) return std::nullopt;
      const Hdf5Bytes node = file_.at(address, key_after(children - 1) + 8);
      address = node.address(child_at(choose(node, children)));
    }
    const Hdf5Bytes table = file_.at(address, symbol_prefix);
    table.expect_signature("SNOD");
    return file_.at(address, symbol(symbols(table)));
  }

  uint64_t object(const Hdf5Bytes& leaf, uint16_t i, std::string_view name) const {
    constexpr uint32_t soft_link = 2;
    if (leaf.number<uint32_t>(symbol(i) + 16) == soft_link) file_.refuse("hard links", str("a soft one, ", quote(name)));
    return leaf.address(symbol(i) + 8);
  }

  Hdf5Bytes file_, heap_;
  uint64_t tree_ = 0;
};

// Dataspace: version 1 (version, rank, flags, 5 unused) or 2 (version, rank, flags, kind), then the sizes.
std::vector<int64_t> read_dataspace(const Hdf5Bytes& bytes) {
  const auto version = bytes.number<uint8_t>(0), rank = bytes.number<uint8_t>(1);
  if ((version != 1 && version != 2) || rank > most_hdf5_rank)
    bytes.refuse(str("a shape of version 1 or 2 and up to ", most_hdf5_rank, " dimensions"),
                 str("version ", int{version}, ", ", int{rank}, " dimensions"));
  if (version == 2 && bytes.number<uint8_t>(3) != (rank == 0 ? 0 : 1)) bytes.refuse("a data set with a shape", "none");
  std::vector<int64_t> shape;
  for (uint8_t i = 0; i < rank; ++i) {
    const auto size = bytes.number<uint64_t>((version == 1 ? 8 : 4) + 8 * uint64_t{i});
    if (size > static_cast<uint64_t>(INT64_MAX)) bytes.refuse("sizes below 2^63", str(size));
    shape.push_back(static_cast<int64_t>(size));
  }
  return shape;
}

// IEEE 754, little-endian: class 1 (of any version of the message), then bit field, size, and where sign, exponent and mantissa
// stand.
at::ScalarType read_datatype(const Hdf5Bytes& bytes) {
  struct Known {
    at::ScalarType type;
    std::array<uint8_t, 19> rest;  // behind the byte of class and version
  };
  static constexpr Known known[] = {
      {at::kHalf, {0x20, 15, 0, 2, 0, 0, 0, 0, 0, 16, 0, 10, 5, 0, 10, 15, 0, 0, 0}},
      {at::kFloat, {0x20, 31, 0, 4, 0, 0, 0, 0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0}},
      {at::kDouble, {0x20, 63, 0, 8, 0, 0, 0, 0, 0, 64, 0, 52, 11, 0, 52, 0xFF, 3, 0, 0}},
  };
  constexpr int floating_point = 1;
  if ((bytes.number<uint8_t>(0) & 0xF) == floating_point) {
    const Hdf5Bytes rest = bytes.at(1, sizeof Known::rest);
    for (const Known& candidate : known)
      if (std::memcmp(rest.span().data(), candidate.rest.data(), candidate.rest.size()) == 0) return candidate.type;
  }
  bytes.refuse("floating-point numbers of 16, 32 or 64 bits, little-endian", "another type");
}

// Layout, version 3: compact (0: size of 2 bytes, data) or contiguous (1: address, size).
std::span<const std::byte> read_layout(const Hdf5Bytes& file, const Hdf5Bytes& bytes) {
  const auto version = bytes.number<uint8_t>(0), kind = bytes.number<uint8_t>(1);
  if (version != 3 || kind > 1)
    bytes.refuse("data in one piece (h5repack -l CONTI)", version == 3 && kind == 2 ? "data in chunks" : "another layout");
  if (kind == 0) return bytes.at(4, bytes.number<uint16_t>(2)).span();
  if (bytes.address(2) == undefined_address) bytes.refuse("data", "a data set that was never written");
  return file.at(bytes.address(2), bytes.address(10)).span();
}

Hdf5Data read_data(const Hdf5Bytes& file, uint64_t header) {
  const std::vector<Hdf5Part> messages = header_messages(file, header);
  const auto shape = find_message(messages, Hdf5Message::dataspace), type = find_message(messages, Hdf5Message::datatype);
  const auto place = find_message(messages, Hdf5Message::layout);
  if (!shape || !type || !place) file.refuse("a data set", "another object");
  if (find_message(messages, Hdf5Message::external_files)) file.refuse("data in the file itself", "data in other files");
  if (find_message(messages, Hdf5Message::filters))
    file.refuse("data without filters (h5repack -f NONE -l CONTI)", "data with some");
  Hdf5Data data{read_dataspace(*shape), read_datatype(*type), {}};
  data.bytes = read_layout(file, *place);
  const auto count = element_count(data.shape);
  uint64_t bytes = 0;
  if (!count || __builtin_mul_overflow(*count, c10::elementSize(data.type), &bytes) || bytes != data.bytes.size())
    file.refuse(str("as many bytes as ", shape_text(data.shape), " says"), str(data.bytes.size()));
  return data;
}

uint64_t root_header(const Hdf5Bytes& file) {
  const Hdf5Bytes signature = file.at(0, std::min<size_t>(file.size(), hdf5_signature.size()));
  if (signature.size() < hdf5_signature.size() ||
      std::memcmp(signature.span().data(), hdf5_signature.data(), signature.size()) != 0)
    file.refuse("an HDF5 file", "other bytes");
  const auto version = file.number<uint8_t>(8);
  if (version > 1) file.refuse("superblock 0 or 1 (h5py's default, not libver='latest')", str(int{version}));
  if (file.number<uint8_t>(13) != 8 || file.number<uint8_t>(14) != 8)
    file.refuse("addresses and lengths of 8 bytes", str(int{file.number<uint8_t>(13)}, " and ", int{file.number<uint8_t>(14)}));
  const uint64_t addresses = version == 0 ? 24 : 28;  // base, free space, end of file, driver; then the root's symbol
  if (file.address(addresses) != 0) file.refuse("a file without a user block", "one with");
  if (file.address(addresses + 16) > file.size())
    file.refuse(str("a file of ", file.address(addresses + 16), " bytes"), str(file.size()));
  return file.address(addresses + 40);
}

}  // namespace

Hdf5File::Hdf5File(const fs::path& path) : map_(path) {
  const std::string where = path.string();
  const Hdf5Bytes file(map_.bytes(), where);
  root_ = root_header(file);
  Hdf5Group(file, root_);
}

std::optional<Hdf5Data> Hdf5File::find(std::string_view path) const {
  const std::string where = str(map_.path().string(), ": ", quote(path));
  const Hdf5Bytes file(map_.bytes(), where);
  uint64_t header = root_;
  for (size_t levels = 0;; ++levels) {
    if (levels == most_hdf5_levels) file.refuse(str("a path of at most ", most_hdf5_levels, " names"), "more");
    const size_t end = path.find('/');
    const auto found = Hdf5Group(file, header).find(path.substr(0, end));
    if (!found) return std::nullopt;
    header = *found;
    if (end == std::string_view::npos) return read_data(file, header);
    path.remove_prefix(end + 1);
  }
}

std::optional<std::string> Hdf5File::first_name() const {
  const std::string where = map_.path().string();
  return Hdf5Group(Hdf5Bytes(map_.bytes(), where), root_).first_name();
}

}  // namespace dept
