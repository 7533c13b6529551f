// Archives and pickles that torch.save would not write, built by hand: each is refused in one line.
#include <gmock/gmock.h>

#include <limits>

#include "build.h"
#include "dept/tensorio/tensor_source.h"
#include "tensorio/unpickler.h"

namespace dept {
namespace {

using testing::HasSubstr;

struct Record {
  std::string name, bytes;
  uint16_t method = 0;
};

// A zip archive of these records; `shift` moves the second record's offset.
std::string zip(const std::vector<Record>& records, uint32_t shift = 0) {
  std::string bytes, directory;
  for (const auto& [name, data, method] : records) {
    const auto size = static_cast<uint32_t>(data.size());
    const auto at = static_cast<uint32_t>(bytes.size()) - (&name == &records[0].name ? 0 : shift);
    const std::string common = raw<uint16_t>(0) + raw(method) + raw<uint32_t>(0) + raw<uint32_t>(0) + raw(size) + raw(size) +
                               raw(static_cast<uint16_t>(name.size())) + raw<uint16_t>(0);
    bytes += "PK\3\4" + raw<uint16_t>(20) + common + name + data;
    directory += "PK\1\2" + raw<uint16_t>(20) + raw<uint16_t>(20) + common + raw<uint16_t>(0) + raw<uint16_t>(0) +
                 raw<uint16_t>(0) + raw<uint32_t>(0) + raw(at) + name;
  }
  const auto count = static_cast<uint16_t>(records.size());
  return bytes + directory + "PK\5\6" + raw<uint32_t>(0) + raw(count) + raw(count) +
         raw(static_cast<uint32_t>(directory.size())) + raw(static_cast<uint32_t>(bytes.size())) + raw<uint16_t>(0);
}

std::string text(std::string_view value) {
  return "X" + raw(static_cast<uint32_t>(value.size())) + std::string(value);
}
std::string integer(int64_t value) {
  return "\x8a\x08" + raw(value);
}
std::string tuple(std::initializer_list<int64_t> values) {
  std::string bytes = "(";
  for (const int64_t value : values) bytes += integer(value);
  return bytes + "t";
}
// {"x": a tensor over the storage "0" of 6 floats}
std::string pickle_of(int64_t count, int64_t offset, const std::string& shape, const std::string& strides) {
  return "\x80\2}" + text("x") + "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\nFloatStorage\n" +
         text("0") + text("cpu") + integer(count) + "tQ" + integer(offset) + shape + strides + "\x89NtRs.";
}
std::string torch_file(const std::string& pickle) {
  return zip({{"a/data.pkl", pickle}, {"a/data/0", std::string(24, '\0')}});
}

class HandMade : public testing::Test {
 protected:
  std::string refusal(const std::string& bytes) {
    const fs::path path = folder_.write("hand.bin", bytes);
    const std::string line = error_of(Code::bad_input, [&] { open_torch_file(path); });
    EXPECT_THAT(line, HasSubstr("hand.bin"));
    EXPECT_EQ(line.find('\n'), std::string::npos);
    return line;
  }
  Scratch folder_;
};

TEST_F(HandMade, AGoodOneIsRead) {
  const fs::path path = folder_.write("good.bin", torch_file(pickle_of(6, 1, tuple({2, 2}), tuple({1, 2}))));
  EXPECT_EQ(open_torch_file(path)->read("x").sizes(), (at::IntArrayRef{2, 2}));
}

TEST_F(HandMade, ViewsStayInsideTheirStorage) {
  const int64_t large = int64_t{1} << 60;
  const auto view = [&](int64_t count, int64_t offset, const std::string& shape, const std::string& strides) {
    return refusal(torch_file(pickle_of(count, offset, shape, strides)));
  };
  EXPECT_THAT(view(6, 3, tuple({2, 2}), tuple({2, 1})), HasSubstr("a view inside its storage of 6 elements"));
  EXPECT_THAT(view(6, -1, tuple({2}), tuple({1})), HasSubstr("from element -1"));
  EXPECT_THAT(view(6, large, tuple({2}), tuple({1})), HasSubstr("a view inside its storage"));
  EXPECT_THAT(view(6, 0, tuple({2}), tuple({-1})), HasSubstr("strides inside its storage"));
  EXPECT_THAT(view(6, 0, tuple({2, 2}), tuple({large, large})), HasSubstr("a view inside its storage"));
  EXPECT_THAT(view(6, 0, tuple({3, 2}), tuple({large * 4, large * 4})), HasSubstr("strides inside its storage"));
  EXPECT_THAT(view(6, 0, tuple({large}), tuple({0})), HasSubstr("at most the 6 elements"));
  EXPECT_THAT(view(6, 0, tuple({large, large}), tuple({0, 0})), HasSubstr("at most the 6 elements"));
  EXPECT_THAT(view(6, 0, tuple({-2}), tuple({1})), HasSubstr("at most the 6 elements"));
  EXPECT_THAT(view(6, 0, tuple({2}), tuple({1, 1})), HasSubstr("as many strides as dimensions"));
  EXPECT_THAT(view(7, 0, tuple({2}), tuple({1})), HasSubstr("a storage of 28 bytes, received 24"));
  EXPECT_THAT(view(large * 4, 0, tuple({2}), tuple({1})), HasSubstr("a storage's size"));
  EXPECT_THAT(view(-6, 0, tuple({2}), tuple({1})), HasSubstr("a storage's size"));
  EXPECT_THAT(view(6, 0, "(" + std::string(100, ')') + "t", tuple({})), HasSubstr("as many strides as dimensions"));
}

TEST_F(HandMade, StridesOfAnEmptyTensorSayNothing) {
  const int64_t lowest = std::numeric_limits<int64_t>::min();
  const fs::path path = folder_.write("empty.bin", torch_file(pickle_of(6, 0, tuple({0, 3}), tuple({lowest, lowest}))));
  EXPECT_EQ(open_torch_file(path)->read("x").sizes(), (at::IntArrayRef{0, 3}));
}

TEST_F(HandMade, Archives) {
  const std::string pickle = pickle_of(6, 0, tuple({2}), tuple({1})), storage(24, '\0');
  const Record front{"a/data.pkl", pickle};
  EXPECT_THAT(refusal(zip({front, {"a/data/0", storage}, {"a/data/0", storage}})), HasSubstr("each record's name once"));
  EXPECT_THAT(refusal(zip({front, {"a/data/0", storage, 8}})), HasSubstr("a compressed or encrypted one"));
  EXPECT_THAT(refusal(zip({front, {"b/data.pkl", pickle}})), HasSubstr("a record data.pkl"));
  EXPECT_THAT(refusal(zip({{"a/other", pickle}})), HasSubstr("a record data.pkl"));
  EXPECT_THAT(refusal(zip({})), HasSubstr("a record data.pkl"));
  const auto first = static_cast<uint32_t>(30 + front.name.size() + pickle.size());
  EXPECT_THAT(refusal(zip({front, {"a/data/0", storage}}, first)), HasSubstr("records that do not overlap"));
  EXPECT_THAT(refusal(zip({front, {"a/data/0", storage}}, 1)), HasSubstr("a whole zip archive"));
  std::string bytes = torch_file(pickle);
  bytes.replace(bytes.size() - 6, 4, "\xff\xff\xff\xff");
  EXPECT_THAT(refusal(bytes), HasSubstr("a whole zip archive"));
}

TEST(Unpickler, RefusesWhatIsIllFormed) {
  const std::pair<std::string, const char*> cases[] = {
      {"", "a whole pickle"},
      {"}.", "protocol 2 to 5"},
      {"\x80\1}.", "protocol 1"},
      {"\x80\6}.", "protocol 6"},
      {"\x80\2}", "a whole pickle"},
      {"\x80\2.", "takes what is not there"},
      {"\x80\2u.", "takes what is not there"},
      {"\x80\2}(0.", "takes what is not there"},
      {"\x80\2}(" + text("x") + "u.", "a key without one"},
      {"\x80\2h\5.", "entry 5"},
      {"\x80\2}r\xff\xff\xff\x7f.", "entry 2147483647"},
      {"\x80\2\x8a\x09.........", "integers of 64 bits"},
      {"\x80\2\x8b\xff\xff\xff\xff.", "integers of 64 bits"},
      {"\x80\2X\xff\xff\xff\xff.", "a whole pickle"},
      {"\x80\4\x8d\xff\xff\xff\xff\xff\xff\xff\xff.", "a whole pickle"},
      {"\x80\2}]" + text("x") + "s.", "names of tensors as keys"},
      {"\x80\2}" + text("x") + "NsN.", "a dict of tensors, received None"},
      {"\x80\2}(" + text("x") + "N" + text("x") + "Nu.", "each name once"},
      {"\x80\2}" + text("\xff") + "Ns.", "names in UTF-8"},
      {"\x80\2ccollections\nOrderedDict\n]R.", "a tuple of arguments"},
      {"\x80\2ccollections\nOrderedDict\nN\x85R.", "filled later"},
      {"\x80\2ctorch\nFloatStorage\n)R.", "a type in its place"},
      {"\x80\2ctorch._utils\n_rebuild_tensor_v2\n)R.", "a tensor's arguments"},
      {"\x80\2ctorch._utils\n_rebuild_parameter\nNNN\x87R.", "a parameter's tensor"},
      {"\x80\2]Nb.", "attributes of a dict alone"},
      {"\x80\2Q.", "takes what is not there"},
      {"\x80\2)Q.", "a storage's tuple of 5"},
      {"\x80\2ios\nsystem\n.", "the pickle opcode 105"},
      {"\x80\2cos\nsystem\n)\x81.", "a call of \"os.system\""},
      {"\x80\4" + text("os") + text("system") + "\x93.", "a call of \"os.system\""},
      {"\x80\4NN\x93.", "a name, received None"},
  };
  for (const auto& [pickle, expected] : cases)
    EXPECT_THAT(error_of(Code::bad_input, [&, &pickle = pickle] { unpickle_tensors(pickle, "p"); }), HasSubstr(expected));
}

TEST(Unpickler, StaysSmall) {
  EXPECT_THAT(error_of(Code::bad_input, [] { unpickle_tensors(std::string(9 << 20, 'N'), "p"); }), HasSubstr("bytes"));
  EXPECT_THAT(error_of(Code::bad_input, [] { unpickle_tensors("\x80\2" + std::string(5 << 20, 'N') + ".", "p"); }),
              HasSubstr("4194304 values"));
}

}  // namespace
}  // namespace dept
