// JSON values or plain texts, one after the other: a value a line, the items of an array, or a text a line.
#pragma once

#include <deque>
#include <optional>
#include <string>

#include "cli/lines.h"

namespace dept {

class JsonValues {
 public:
  /// `format` "json" or "text", or "auto": a name in .txt holds texts, one in .json or .jsonl JSON; else the first line that is
  /// not blank tells: JSON begins with a quote, a brace or a bracket. Throws io.
  JsonValues(const std::string& path, const std::string& format, SharedReading shared = {});

  /// A text becomes a string. Throws bad_input naming the line, or of an array the row.
  std::optional<OrderedJson> next();
  /// "FILE: line 3" or "FILE: row 3", of what next() returned last.
  std::string where() const;

 private:
  std::optional<std::string> next_line();
  void look_ahead();
  void read_document();

  std::string path_, format_;
  LineReader reader_;
  std::deque<std::string> ahead_;  // lines that were looked at
  bool looked_ = false;
  bool texts_ = false;
  std::optional<OrderedJson> items_;  // of an array that is read whole
  size_t row_ = 0;                    // of the value that next() returned last
};

}  // namespace dept
