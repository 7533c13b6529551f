#include "cli/lines.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "cli/frame.h"
#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr size_t block_bytes = 1 << 16;
constexpr size_t most_line_bytes = size_t{64} << 20;

bool is_standard(const std::string& path) {
  return path.empty() || path == "-";
}

}  // namespace

LineReader::LineReader(const std::string& path, SharedReading shared)
    : name_(is_standard(path) ? "stdin" : path), shared_(std::move(shared)) {
  if (!shared_.reads) return;
  descriptor_ = is_standard(path) ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) fail(Code::io, name_, "a readable file", std::strerror(errno));
}

LineReader::~LineReader() {
  if (descriptor_ > STDIN_FILENO) ::close(descriptor_);
}

// Takes in another block; false at the end of the input.
bool LineReader::fill() {
  buffer_.erase(0, begin_);
  begin_ = 0;
  std::string block = shared_.reads ? read_block() : "";
  if (shared_.share) block = shared_.share(block);
  buffer_ += block;
  return !block.empty();
}

std::string LineReader::read_block() {
  std::string block(block_bytes, '\0');
  ssize_t count;
  do {
    count = ::read(descriptor_, block.data(), block_bytes);
  } while (count < 0 && errno == EINTR);
  if (count < 0) fail(Code::io, name_, "a readable file", std::strerror(errno));
  block.resize(static_cast<size_t>(count));
  return block;
}

std::optional<std::string> LineReader::next() {
  size_t searched = 0, end;
  while ((end = buffer_.find('\n', begin_ + searched)) == std::string::npos) {
    searched = buffer_.size() - begin_;
    if (searched > most_line_bytes)
      fail(Code::bad_input, str(name_, ": line ", line_ + 1), "a line of at most 64 MB", "a longer one");
    if (fill()) continue;
    if (buffer_.empty()) return std::nullopt;
    end = buffer_.size();
    break;
  }
  ++line_;
  std::string line = buffer_.substr(begin_, end - begin_);
  begin_ = std::min(end + 1, buffer_.size());
  if (!line.empty() && line.back() == '\r') line.pop_back();
  if (const size_t bad = find_invalid_utf8(line); bad != std::string::npos)
    fail(Code::bad_input, where(), "UTF-8", str("a broken byte at ", bad + 1));
  return line;
}

std::optional<Json> LineReader::next_json() {
  const std::optional<std::string> line = next();
  if (!line) return std::nullopt;
  return parse_json(*line, where());
}

std::string LineReader::where() const {
  return str(name_, ": line ", line_);
}

void check_output_file(const std::string& path) {
  if (is_standard(path)) return;
  std::error_code error;
  const fs::path folder = fs::path(path).has_parent_path() ? fs::path(path).parent_path() : fs::path(".");
  if (fs::is_directory(path, error)) fail(Code::io, "--output", "a file", quote(path) + ", a folder");
  if (!fs::is_directory(folder, error)) fail(Code::io, "--output", "a file in a folder that is there", quote(path));
  if (::access(folder.c_str(), W_OK) != 0 && ::access(path.c_str(), W_OK) != 0)
    fail(Code::io, "--output", "a file that can be written", quote(path));
}

LineWriter::LineWriter(const std::string& path, bool writes) : writes_(writes) {
  if (writes_ && !is_standard(path)) file_ = std::make_unique<AtomicFile>(path);
}

std::string LineWriter::text_of(const OrderedJson& value) {
  return value.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

void LineWriter::write_text(std::string_view line) {
  if (!writes_) return;
  pending_ += line;
  pending_ += '\n';
  if (file_ != nullptr && pending_.size() < block_bytes) return;
  if (file_ != nullptr) {
    file_->append(pending_);
  } else {
    write_stdout(pending_);
  }
  pending_.clear();
}

void LineWriter::commit() {
  if (file_ == nullptr) return;
  file_->append(pending_);
  pending_.clear();
  file_->commit();
}

}  // namespace dept
