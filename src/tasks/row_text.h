// Text from a row: a template such as "question: {question|pad_punctuation} choice: {choices.text[0]}".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "dept/base/json.h"
#include "dept/data/table.h"

namespace dept {

/// A row of a table by paths: column, column.key, column[0]. Cells of nested columns, and those that a path goes into, are JSON.
class RowView {
 public:
  RowView(const Table& table, size_t row) : table_(table), row_(row) {}

  /// Throws bad_input naming file, row and path when there is nothing.
  OrderedJson value(std::string_view path) const;
  /// A cell as it stands.
  const std::string& cell(std::string_view column) const;
  bool has(std::string_view path) const;  ///< whether the path's column is there
  [[noreturn]] void refuse(std::string_view what, std::string_view expected, std::string_view received) const;

 private:
  const Table& table_;
  size_t row_;
};

/// What a template calls behind a bar. Throws bad_input by row.refuse.
using RowFunction = OrderedJson (*)(const OrderedJson& value, const RowView& row);
/// Throws usage for an unknown name.
RowFunction row_function(std::string_view name);
/// All of them.
std::vector<std::string> row_function_names();

/// A string as it is, a number or a boolean as written. Throws bad_input naming `what` for a list or a mapping.
std::string plain_text(const OrderedJson& value, const RowView& row, std::string_view what);

/// A template, parsed once.
class RowText {
 public:
  /// Throws usage for a lone brace or an unknown function.
  explicit RowText(std::string_view text);

  /// `each` is what {each} stands for.
  std::string fill(const RowView& row, const std::string& each = "") const;
  /// Columns it needs, without {each}.
  std::vector<std::string> columns() const;

 private:
  struct Piece {
    bool is_path = false;
    std::string text;  // words, or a path
    std::vector<RowFunction> functions;
  };
  std::vector<Piece> pieces_;
};

}  // namespace dept
