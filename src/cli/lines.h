// Lines in and out: text or JSON, one value a line, from a file or stdin, to a file or stdout.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "dept/base/file.h"
#include "dept/base/json.h"

namespace dept {

class LineReader {
 public:
  /// "" and "-" are stdin. Throws io when the file cannot be opened.
  explicit LineReader(const std::string& path);
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

  std::string name_;
  int descriptor_ = -1;
  int64_t line_ = 0;
  std::string buffer_;
  size_t begin_ = 0;  // of what is not yet read in buffer_
};

/// Throws io for an output that is not stdout and cannot be made: no folder, or a folder itself.
void check_output_file(const std::string& path);

class LineWriter {
 public:
  /// "" and "-" are stdout, where each line is seen at once. A file gets its name by commit() only. Throws io.
  explicit LineWriter(const std::string& path);

  void write(const OrderedJson& value);
  void write_text(std::string_view line);
  void commit();

 private:
  std::unique_ptr<AtomicFile> file_;
  std::string pending_;
};

}  // namespace dept
