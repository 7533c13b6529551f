// What `dept predict` reads: a table's rows, a named task's test data, JSON values or plain lines of text.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "cli/lines.h"
#include "dept/data/table.h"
#include "dept/tasks/task.h"
#include "dept/train/options.h"

namespace dept {

struct PredictSource {
  const DataOptions& data;
  std::string input;   ///< a file; "" or "-": stdin, but of a named task "" is its own test data
  std::string format;  ///< of what is no table: "json", "text", or "auto"
  SharedReading shared = {};
};

/// Throws io for a file that is not there.
void check_input_is_there(const PredictSource& source);

/// Throws what names and the files' heads show of input that cannot be used. Reads no stdin.
void check_input(const PredictSource& source);

/// {"input": {file: digest}} of a table, which each of several ranks reads by itself; what else there is rank 0 reads for all.
/// Throws io.
OrderedJson input_contents(const PredictSource& source);

/// Calls `body` with some rows at a time, in order: up to `size`, of what is read whole more. Before it throws bad_input for a
/// row (naming file and line) the rows before that one are given out.
void for_each_batch(const PredictSource& source, size_t size, const std::function<void(std::span<const TextExample>)>& body);

/// All rows, and the columns that they came with: those of a table or of JSON objects, "text" of plain texts, index, source and
/// target of a named task's test data.
struct PredictRows {
  Table table;
  std::vector<TextExample> examples;
};
PredictRows read_all_rows(const PredictSource& source);

}  // namespace dept
