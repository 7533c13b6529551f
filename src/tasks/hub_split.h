// A split of a data set on the hub, as a table.
#pragma once

#include "dept/data/table.h"
#include "dept/hub/hub.h"

namespace dept {

/// The rows of all its files, in order. Throws io or bad_input.
Table read_hub_split(const HubOptions& options, const ParquetSplit& split, const TableFormat& format);

}  // namespace dept
