// What other tools call an option of ours.
#pragma once

#include <span>
#include <string_view>
#include <vector>

namespace dept {

/// Names of ours, the likeliest first (a command has one of them or none), and the names elsewhere that lead there.
struct OtherNames {
  std::vector<std::string_view> ours, others;
};

/// The whole table; each of the other names is in one row.
std::span<const OtherNames> other_names();

/// The row's names of ours; empty for a name that the table does not have.
std::span<const std::string_view> names_here(std::string_view other);

}  // namespace dept
