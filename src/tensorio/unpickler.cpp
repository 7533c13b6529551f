#include "tensorio/unpickler.h"

#include <cstring>
#include <deque>
#include <set>
#include <variant>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "tensorio/plain_types.h"

namespace dept {
namespace {

constexpr size_t max_pickle_bytes = size_t{8} << 20;  // a state dict takes some 300 bytes a tensor
constexpr size_t max_values = size_t{1} << 22;
constexpr size_t max_strides = 64, max_key_bytes = 64;  // what tensors may share in the pickle is copied for each of them

// A name that a pickle may mention.
struct Global {
  enum Kind { ordered_dict, tensor_of_storage, tensor_of_dtype, parameter, storage, bytes, dtype };
  Kind kind;
  at::ScalarType type = at::kByte;
};

struct KnownGlobal {
  std::string_view name;
  Global global;
};
constexpr KnownGlobal known_globals[] = {
    {"collections.OrderedDict", {Global::ordered_dict}},
    {"torch._utils._rebuild_tensor_v2", {Global::tensor_of_storage}},
    {"torch._utils._rebuild_tensor_v3", {Global::tensor_of_dtype}},
    {"torch._utils._rebuild_parameter", {Global::parameter}},
    {"torch.storage.UntypedStorage", {Global::bytes}},
    {"torch.FloatStorage", {Global::storage, at::kFloat}},
    {"torch.DoubleStorage", {Global::storage, at::kDouble}},
    {"torch.HalfStorage", {Global::storage, at::kHalf}},
    {"torch.BFloat16Storage", {Global::storage, at::kBFloat16}},
    {"torch.LongStorage", {Global::storage, at::kLong}},
    {"torch.IntStorage", {Global::storage, at::kInt}},
    {"torch.ShortStorage", {Global::storage, at::kShort}},
    {"torch.CharStorage", {Global::storage, at::kChar}},
    {"torch.ByteStorage", {Global::storage, at::kByte}},
    {"torch.BoolStorage", {Global::storage, at::kBool}},
    {"torch.ComplexFloatStorage", {Global::storage, at::kComplexFloat}},
    {"torch.uint16", {Global::dtype, at::kUInt16}},
    {"torch.uint32", {Global::dtype, at::kUInt32}},
    {"torch.uint64", {Global::dtype, at::kUInt64}},
    {"torch.float8_e4m3fn", {Global::dtype, at::kFloat8_e4m3fn}},
    {"torch.float8_e5m2", {Global::dtype, at::kFloat8_e5m2}},
};

// Values refer to each other by handle, never by pointer: however deep they are nested, nothing recurses.
using Handle = uint32_t;
struct None {};
struct List {
  std::vector<Handle> items;
};
struct Tuple {
  std::vector<Handle> items;
};
struct Dict {
  std::vector<Handle> items;  // key, value, key, value, ...
};
struct Storage {
  std::string_view key;
  Global global;  // storage or bytes
  int64_t count;  // elements, or bytes
};
struct Tensor {
  Handle storage;
  at::ScalarType type;
  int64_t offset;
  Handle shape, strides;  // tuples of integers
};
using Value = std::variant<None, bool, int64_t, double, std::string_view, List, Tuple, Dict, Global, Storage, Tensor>;
constexpr const char* kind_names[] = {"None",    "a boolean", "an integer",     "a number",  "a string", "a list",
                                      "a tuple", "a dict",    "a name to call", "a storage", "a tensor"};
static_assert(std::size(kind_names) == std::variant_size_v<Value>);

class Unpickler {
 public:
  Unpickler(std::string_view pickle, const std::string& where) : rest_(pickle), where_(where) {
    if (pickle.size() > max_pickle_bytes)
      fail(Code::bad_input, where, str("a pickle of at most ", max_pickle_bytes, " bytes"), str(pickle.size()));
  }

  std::vector<PickledTensor> read() {
    if (take<uint8_t>() != 0x80) refuse("a pickle of protocol 2 to 5", "another kind of data");
    if (const auto protocol = take<uint8_t>(); protocol < 2 || protocol > 5)
      refuse("a pickle of protocol 2 to 5", str("protocol ", static_cast<int>(protocol)));
    while (step(take<uint8_t>())) {
    }
    return tensors_of(pop());
  }

 private:
  [[noreturn]] void refuse(std::string_view expected, std::string_view received) const {
    fail(Code::bad_input, where_, expected, received);
  }

  // Reading.

  std::string_view take_bytes(uint64_t size) {
    if (size > rest_.size()) refuse("a whole pickle", "one cut short");
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  template <class T>
  T take() {
    T value;
    const std::string_view bytes = take_bytes(sizeof value);
    std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }
  std::string_view take_line() {
    const size_t end = rest_.find('\n');
    const std::string_view line = take_bytes(end == rest_.npos ? rest_.size() : end);
    take_bytes(1);
    return line;
  }
  // An integer of any length in little-endian two's complement.
  int64_t take_long(uint64_t size) {
    if (size > sizeof(int64_t)) refuse("integers of 64 bits", str(size, " bytes"));
    const std::string_view bytes = take_bytes(size);
    int64_t value = !bytes.empty() && (bytes.back() & 0x80) != 0 ? -1 : 0;
    std::memcpy(&value, bytes.data(), bytes.size());
    return value;
  }
  double take_double() {
    const auto bits = __builtin_bswap64(take<uint64_t>());
    double value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }

  // The stack. What an opcode does returns true, "this opcode is known".

  bool push_handle(Handle handle) {
    stack_.push_back(handle);
    return true;
  }
  template <class T>
  bool push(T value) {
    if (values_.size() == max_values) refuse(str("at most ", max_values, " values"), "more");
    values_.emplace_back(std::move(value));
    return push_handle(static_cast<Handle>(values_.size() - 1));
  }
  Handle top() const {
    if (stack_.size() <= floor()) refuse("a well-formed pickle", "one that takes what is not there");
    return stack_.back();
  }
  Handle pop() {
    const Handle handle = top();
    stack_.pop_back();
    return handle;
  }
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  std::vector<Handle> pop_to_mark() {
    if (marks_.empty()) refuse("a well-formed pickle", "one that takes what is not there");
    const auto begin = stack_.begin() + static_cast<ptrdiff_t>(marks_.back());
    std::vector<Handle> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return items;
  }
  std::vector<Handle> pop_items(size_t count) {
    std::vector<Handle> items(count);
    for (size_t i = count; i > 0; --i) items[i - 1] = pop();
    return items;
  }

  bool remember(uint32_t index) {  // picklers count upwards
    if (index > memo_.size()) refuse("memo entries in order", str("entry ", index));
    if (index == memo_.size()) memo_.push_back(top());
    memo_[index] = top();
    return true;
  }
  bool recall(uint32_t index) {
    if (index >= memo_.size()) refuse("a memo entry that is there", str("entry ", index));
    return push_handle(memo_[index]);
  }

  template <class T>
  T& as(Handle handle, std::string_view expected) {
    if (T* value = std::get_if<T>(&values_[handle])) return *value;
    refuse(expected, kind_names[values_[handle].index()]);
  }

  // Pickle's opcodes, by what they do; each group says whether the opcode is one of its own.

  // False at the end.
  bool step(uint8_t opcode) {
    if (opcode == '.') return false;
    if (!push_scalar(opcode) && !push_text(opcode) && !move(opcode) && !contain(opcode) && !use_memo(opcode) && !call(opcode))
      refuse("tensors and containers alone", str("the pickle opcode ", static_cast<int>(opcode)));
    return true;
  }

  bool push_scalar(uint8_t opcode) {
    switch (opcode) {
      case 'N':
        return push(None{});
      case 0x88:
        return push(true);
      case 0x89:
        return push(false);
      case 'J':
        return push(int64_t{take<int32_t>()});
      case 'K':
        return push(int64_t{take<uint8_t>()});
      case 'M':
        return push(int64_t{take<uint16_t>()});
      case 0x8a:
        return push(take_long(take<uint8_t>()));
      case 0x8b:
        return push(take_long(take<uint32_t>()));
      case 'G':
        return push(take_double());
      default:
        return false;
    }
  }

  bool push_text(uint8_t opcode) {
    switch (opcode) {
      case 'C':
      case 0x8c:
        return push(take_bytes(take<uint8_t>()));
      case 'B':
      case 'X':
        return push(take_bytes(take<uint32_t>()));
      case 0x8d:
      case 0x8e:
        return push(take_bytes(take<uint64_t>()));
      default:
        return false;
    }
  }

  // The stack itself, and the hint FRAME.
  bool move(uint8_t opcode) {
    switch (opcode) {
      case 0x95:
        take<uint64_t>();
        return true;
      case '(':
        marks_.push_back(stack_.size());
        return true;
      case '0':
        pop();
        return true;
      case '1':
        pop_to_mark();
        return true;
      case '2':
        push_handle(top());
        return true;
      default:
        return false;
    }
  }

  bool contain(uint8_t opcode) {
    switch (opcode) {
      case ']':
        return push(List{});
      case ')':
        return push(Tuple{});
      case '}':
        return push(Dict{});
      case 't':
        return push(Tuple{pop_to_mark()});
      case 0x85:
      case 0x86:
      case 0x87:
        return push(Tuple{pop_items(opcode - 0x84)});
      case 'a':
        return append<List>(pop_items(1));
      case 'e':
        return append<List>(pop_to_mark());
      case 's':
        return append<Dict>(pop_items(2));
      case 'u':
        return append<Dict>(pop_to_mark());
      default:
        return false;
    }
  }

  bool use_memo(uint8_t opcode) {
    switch (opcode) {
      case 'q':
        return remember(take<uint8_t>());
      case 'r':
        return remember(take<uint32_t>());
      case 0x94:
        return remember(static_cast<uint32_t>(memo_.size()));
      case 'h':
        return recall(take<uint8_t>());
      case 'j':
        return recall(take<uint32_t>());
      default:
        return false;
    }
  }

  bool call(uint8_t opcode) {
    switch (opcode) {
      case 'c': {
        const std::string_view module = take_line();
        return push(find_global(module, take_line()));
      }
      case 0x93: {
        const Handle name = pop(), module = pop();
        return push(find_global(as<std::string_view>(module, "a module's name"), as<std::string_view>(name, "a name")));
      }
      case 'Q':
        return push(find_storage(pop()));
      case 'R':
        return reduce();
      case 'b':
        return build();
      default:
        return false;
    }
  }

  template <class Container>
  bool append(const std::vector<Handle>& items) {
    auto& all = as<Container>(top(), std::is_same_v<Container, List> ? "a list" : "a dict").items;
    if (std::is_same_v<Container, Dict> && items.size() % 2 != 0) refuse("a value for each key", "a key without one");
    all.insert(all.end(), items.begin(), items.end());
    return true;
  }

  // What stands for a call.

  Global find_global(std::string_view module, std::string_view name) const {
    const std::string whole = str(module, ".", name);
    for (const KnownGlobal& known : known_globals)
      if (known.name == whole) return known.global;
    refuse("tensors and containers alone", str("a call of ", quote(whole), ", which is not made"));
  }

  // ("storage", its type, key, device, count)
  Storage find_storage(Handle id) {
    const auto& items = as<Tuple>(id, "a storage's tuple").items;
    if (items.size() != 5 || as<std::string_view>(items[0], "\"storage\"") != "storage")
      refuse("a storage's tuple of 5", str(items.size(), " items"));
    const Storage storage{as<std::string_view>(items[2], "a storage's key"), as<Global>(items[1], "a storage's type"),
                          as<int64_t>(items[4], "a storage's size")};
    if (storage.global.kind != Global::storage && storage.global.kind != Global::bytes)
      refuse("a storage's type", "another name");
    if (storage.key.size() > max_key_bytes) refuse("a storage's key", quote(storage.key));
    return storage;
  }

  bool reduce() {
    const Handle arguments = pop();
    const Global called = as<Global>(pop(), "a name to call");
    const auto& items = as<Tuple>(arguments, "a tuple of arguments").items;
    switch (called.kind) {
      case Global::ordered_dict:
        if (!items.empty()) refuse("an OrderedDict that is filled later", str(items.size(), " arguments"));
        return push(Dict{});
      case Global::parameter:
        if (items.size() != 3) refuse("3 arguments of _rebuild_parameter", str(items.size()));
        as<Tensor>(items[0], "a parameter's tensor");
        return push_handle(items[0]);
      case Global::tensor_of_storage:
      case Global::tensor_of_dtype:
        return push(make_tensor(items, called.kind == Global::tensor_of_dtype));
      default:
        refuse("a function of torch's tensors", "a type in its place");
    }
  }

  // (storage, offset, shape, strides, requires_grad, hooks[, dtype][, metadata])
  Tensor make_tensor(const std::vector<Handle>& items, bool with_dtype) {
    const size_t needed = with_dtype ? 7 : 6;
    if (items.size() != needed && items.size() != needed + 1) refuse("a tensor's arguments", str(items.size(), " of them"));
    const Global stored = as<Storage>(items[0], "a tensor's storage").global;
    Tensor tensor{items[0], stored.type, as<int64_t>(items[1], "a tensor's offset"), items[2], items[3]};
    if (with_dtype) {
      const Global dtype = as<Global>(items[6], "a tensor's dtype");
      if (dtype.kind != Global::dtype) refuse("a tensor's dtype", "another name");
      tensor.type = dtype.type;
    } else if (stored.kind != Global::storage) {
      refuse("a typed storage", "bytes");
    }
    const size_t dimensions = as<Tuple>(tensor.shape, "a tensor's shape").items.size();
    if (as<Tuple>(tensor.strides, "a tensor's strides").items.size() != dimensions || dimensions > max_strides)
      refuse(str("as many strides as dimensions, at most ", max_strides), str(dimensions, " dimensions"));
    return tensor;
  }

  // The attributes of an OrderedDict, such as a state dict's _metadata, are left out.
  bool build() {
    pop();
    as<Dict>(top(), "attributes of a dict alone");
    return true;
  }

  // The result.

  std::vector<PickledTensor> tensors_of(Handle root) {
    const auto& items = as<Dict>(root, "a dict of tensors").items;
    std::vector<PickledTensor> tensors;
    std::set<std::string_view> seen;
    for (size_t i = 0; i < items.size(); i += 2) {
      const auto name = as<std::string_view>(items[i], "names of tensors as keys");
      if (find_invalid_utf8(name) != name.npos) refuse("names in UTF-8", quote(name));
      if (!seen.insert(name).second) refuse("each name once", quote(name));
      const Value& value = values_[items[i + 1]];
      if (const Tensor* tensor = std::get_if<Tensor>(&value)) {
        tensors.push_back(describe(std::string(name), *tensor));
      } else if (value.index() > 4) {
        fail(Code::bad_input, str(where_, ": ", quote(name)), "a tensor", kind_names[value.index()]);
      }
    }
    return tensors;
  }

  PickledTensor describe(std::string name, const Tensor& tensor) {
    const Storage& storage = std::get<Storage>(values_[tensor.storage]);
    const uint64_t width = storage.global.kind == Global::bytes ? 1 : find_plain_type(storage.global.type)->bytes;
    uint64_t bytes = 0;
    if (storage.count < 0 || __builtin_mul_overflow(static_cast<uint64_t>(storage.count), width, &bytes))
      fail(Code::bad_input, str(where_, ": ", quote(name)), "a storage's size", str(storage.count));
    return {std::move(name),         tensor.type, std::string(storage.key), bytes, tensor.offset, integers(tensor.shape),
            integers(tensor.strides)};
  }
  std::vector<int64_t> integers(Handle tuple) {
    std::vector<int64_t> numbers;
    for (const Handle item : std::get<Tuple>(values_[tuple]).items)
      numbers.push_back(as<int64_t>(item, "integers in a tensor's shape and strides"));
    return numbers;
  }

  std::string_view rest_;
  const std::string& where_;
  std::deque<Value> values_;
  std::vector<Handle> stack_, memo_;
  std::vector<size_t> marks_;
};

}  // namespace

std::vector<PickledTensor> unpickle_tensors(std::string_view pickle, const std::string& where) {
  return Unpickler(pickle, where).read();
}

}  // namespace dept
