#include "tasks/hub_split.h"

#include <iterator>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {

Table read_hub_split(const HubOptions& options, const ParquetSplit& split) {
  const std::vector<fs::path> files = fetch_parquet(options, split);
  Table table = read_table(files.front());
  for (size_t i = 1; i < files.size(); ++i) {
    Table next = read_table(files[i]);
    if (next.columns != table.columns)
      fail(Code::bad_input, files[i].string(), str("columns ", table.column_names()), str("columns ", next.column_names()));
    // Messages count the rows of the whole split.
    const auto before = static_cast<int64_t>(table.rows.size());
    for (size_t column = 0; column < next.nested.size() && column < table.nested.size(); ++column)
      if (table.nested[column] == 0 && next.nested[column] != 0) table.nested[column] = next.nested[column] + before;
    for (const int64_t line : next.lines) table.lines.push_back(line + before);
    std::move(next.rows.begin(), next.rows.end(), std::back_inserter(table.rows));
  }
  return table;
}

}  // namespace dept
