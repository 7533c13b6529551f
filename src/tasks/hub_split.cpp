#include "tasks/hub_split.h"

namespace dept {

Table read_hub_split(const HubOptions& options, const ParquetSplit& split, const TableFormat& format) {
  const std::vector<fs::path> files = fetch_parquet(options, split);
  Table table = read_table(files.front(), format);
  for (size_t i = 1; i < files.size(); ++i) append_rows(table, read_table(files[i], format));
  return table;
}

}  // namespace dept
