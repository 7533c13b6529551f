// Lines in and out: text or JSON, one value a line, from a file or stdin, to a file or stdout.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "dept/base/file.h"
#include "dept/base/json.h"

namespace dept {

/// How several processes read one input: one reads, and `share` gives every one what that one has.
struct SharedReading {
  bool reads = true;
  std::function<std::string(const std::string&)> share = {};
};

class LineReader {
 public:
  /// "" and "-" are stdin. Throws io when the file cannot be opened.
  explicit LineReader(const std::string& path, SharedReading shared = {});
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  /// The next line without its end (LF or CRLF), or nothing at the end. Throws bad_input for broken UTF-8 and lines over 64 MB.
  std::optional<std::string> next();
  /// The next line as JSON. Throws bad_input naming the line.
  std::optional<Json> next_json();
  /// "FILE: line 3": the line that next() returned last.
  std::string where() const;

 private:
  bool fill();
  std::string read_block();

  std::string name_;
  SharedReading shared_;
  int descriptor_ = -1;
  int64_t line_ = 0;
  std::string buffer_;
  size_t begin_ = 0;  // of what is not yet read in buffer_
};

/// Throws io for an output that is not stdout and cannot be made: no folder, or a folder itself.
void check_output_file(const std::string& path);

class LineWriter {
 public:
  /// "" and "-" are stdout, where each line is seen at once. A file gets its name by commit() only. `writes` false: what is
  /// written is dropped, as another process writes it. Throws io.
  explicit LineWriter(const std::string& path, bool writes = true);

  void write(const OrderedJson& value) { write_text(text_of(value)); }
  /// The line that write() makes of a value.
  static std::string text_of(const OrderedJson& value);
  void write_text(std::string_view line);
  void commit();

 private:
  bool writes_;
  std::unique_ptr<AtomicFile> file_;
  std::string pending_;
};

}  // namespace dept
