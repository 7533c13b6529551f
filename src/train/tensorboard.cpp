#include "dept/train/tensorboard.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/text.h"

namespace dept {
namespace {

template <class T>
std::string little_endian(T value) {
  std::string bytes;
  for (size_t i = 0; i < sizeof(T); ++i) bytes += static_cast<char>(value >> (8 * i) & 0xff);
  return bytes;
}

// Protobuf's wire format, as far as events need it.
std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}
std::string key(int field, int wire) {
  return varint(static_cast<uint64_t>(field) << 3 | static_cast<uint64_t>(wire));
}
std::string integer(int field, int64_t value) {
  return key(field, 0) + varint(static_cast<uint64_t>(value));
}
std::string number64(int field, double value) {
  return key(field, 1) + little_endian(std::bit_cast<uint64_t>(value));
}
std::string number32(int field, float value) {
  return key(field, 5) + little_endian(std::bit_cast<uint32_t>(value));
}
std::string bytes(int field, std::string_view value) {
  return key(field, 2) + varint(value.size()) + std::string(value);
}

// Field numbers of tensorflow's event.proto, summary.proto, tensor.proto and tensor_shape.proto.
namespace event {
constexpr int wall_time = 1, step = 2, file_version = 3, summary = 5, session_log = 7;
}
namespace summary {
constexpr int value = 1, tag = 1, simple_value = 2, tensor = 8, metadata = 9, plugin_data = 1, plugin_name = 1, content = 2;
}
namespace tensor {
constexpr int dtype = 1, shape = 2, string_val = 8, dimension = 2, size = 1, string_type = 7;
}
namespace session {
constexpr int status = 1, start = 1;
}
// Those of the hparams plugin's plugin_data.proto and api.proto, and of protobuf's struct.proto.
namespace hparams {
constexpr int start_info = 3, end_info = 4, values = 1, group_name = 4, start_time = 5, key = 1, value = 2;
constexpr int status = 1, end_time = 2, success = 1, failure = 2;
constexpr int number_value = 2, string_value = 3, bool_value = 4;
}  // namespace hparams

constexpr std::array<uint32_t, 256> crc_table = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78 : 0);
    table[i] = crc;
  }
  return table;
}();

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "localhost";
}

double wall_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// A protobuf Value; lists and what else is no plain value as their text.
std::string value_of(const OrderedJson& value) {
  if (value.is_boolean()) return integer(hparams::bool_value, value.get<bool>() ? 1 : 0);
  if (value.is_number()) return number64(hparams::number_value, value.get<double>());
  return bytes(hparams::string_value, value.is_string() ? value.get<std::string>() : value.dump());
}

std::string tag_of(const std::string& name) {
  for (const std::string prefix : {"eval", "test"})
    if (name.rfind(prefix + "_", 0) == 0) return prefix + "/" + name.substr(prefix.size() + 1);
  return "train/" + name;
}

}  // namespace

uint32_t masked_crc32c(std::string_view bytes) {
  uint32_t crc = 0xFFFFFFFF;
  for (const char byte : bytes) crc = crc_table[(crc ^ static_cast<unsigned char>(byte)) & 0xff] ^ crc >> 8;
  crc = ~crc;
  return (crc >> 15 | crc << 17) + 0xA282EAD8;
}

EventWriter::EventWriter(const fs::path& folder, int64_t first_step) {
  require_writable_folder(folder);
  path_ = folder / str("events.out.tfevents.", static_cast<int64_t>(wall_time()), ".", host_name(), ".", ::getpid(), ".0");
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail(Code::io, path_.string(), "a file that can be written", std::strerror(errno));
  write(0, bytes(event::file_version, "brain.Event:2"));
  if (first_step > 1) write(first_step, bytes(event::session_log, integer(session::status, session::start)));
}

EventWriter::~EventWriter() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void EventWriter::write(int64_t step, std::string_view fields) {
  const std::string record = number64(event::wall_time, wall_time()) + integer(event::step, step) + std::string(fields);
  const std::string length = little_endian(static_cast<uint64_t>(record.size()));
  const off_t whole = ::lseek(descriptor_, 0, SEEK_END);
  try {
    write_all(descriptor_, length + little_endian(masked_crc32c(length)) + record + little_endian(masked_crc32c(record)),
              path_.string());
  } catch (const Error&) {  // no half of a record stays, which readers would stumble over
    if (::ftruncate(descriptor_, whole) != 0) log::warn(str(path_.string(), " ends in half a record"));
    throw;
  }
}

void EventWriter::log(const OrderedJson& entry) {
  std::string values;
  for (const auto& [name, value] : entry.items()) {
    if (!value.is_number() || name == "step" || name == "loss_exact") continue;
    const bool exact = name == "loss" && entry.contains("loss_exact");
    const auto scalar = (exact ? entry["loss_exact"] : value).get<float>();
    values += bytes(summary::value, bytes(summary::tag, tag_of(name)) + number32(summary::simple_value, scalar));
  }
  write(entry.value("step", int64_t{0}), bytes(event::summary, values));
}

void EventWriter::write_hparams(std::string_view tag, std::string_view data) {
  const std::string plugin = bytes(summary::plugin_data, bytes(summary::plugin_name, "hparams") + bytes(summary::content, data));
  write(0, bytes(event::summary, bytes(summary::value, bytes(summary::tag, tag) + bytes(summary::metadata, plugin))));
}

void EventWriter::begin_session(const OrderedJson& options, std::string_view group) {
  std::string info;
  for (const auto& [name, value] : options.items())
    if (!value.is_null()) info += bytes(hparams::values, bytes(hparams::key, name) + bytes(hparams::value, value_of(value)));
  info += bytes(hparams::group_name, group) + number64(hparams::start_time, wall_time());
  write_hparams("_hparams_/session_start_info", bytes(hparams::start_info, info));
}

void EventWriter::end_session(bool success) {
  const std::string info =
      integer(hparams::status, success ? hparams::success : hparams::failure) + number64(hparams::end_time, wall_time());
  write_hparams("_hparams_/session_end_info", bytes(hparams::end_info, info));
}

void EventWriter::text(std::string_view tag, std::string_view markdown) {
  const std::string content = integer(tensor::dtype, tensor::string_type) +
                              bytes(tensor::shape, bytes(tensor::dimension, integer(tensor::size, 1))) +
                              bytes(tensor::string_val, markdown);
  const std::string plugin = bytes(summary::plugin_data, bytes(summary::plugin_name, "text"));
  write(0, bytes(event::summary, bytes(summary::value, bytes(summary::tag, tag) + bytes(summary::tensor, content) +
                                                           bytes(summary::metadata, plugin))));
}

}  // namespace dept
