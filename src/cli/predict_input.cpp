#include "cli/predict_input.h"

#include <algorithm>

#include "cli/json_values.h"
#include "dept/base/digest.h"
#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/tasks/chat_rows.h"
#include "dept/tasks/source_template.h"
#include "dept/train/task_data.h"

namespace dept {
namespace {

constexpr int64_t no_draw = 0;       // a seed: predictions draw no rows
constexpr size_t table_rows = 1024;  // of a table, tokenised together

// A named task reads rows of any kind of table; JSON is else a text a value.
bool is_table(const PredictSource& s) {
  if (s.input.empty() || s.input == "-") return false;
  const TableKind kind = table_kind(s.input, table_format(s.data.task.delimiter, s.data.task.quoting));
  return kind == TableKind::columns || (s.data.named() && kind == TableKind::objects);
}

// A named task without --input: its own test data.
bool takes_test_split(const PredictSource& s) {
  return s.data.named() && s.input.empty();
}

std::vector<TextExample> load_rows(const PredictSource& s) {
  if (takes_test_split(s)) return load_named_split(named_task(s.data, no_draw), SplitName::test);
  return s.data.named() ? load_named_rows(named_task(s.data, no_draw), s.input)
                        : load_file_examples(s.data.task, s.input, false, {});
}

std::string cell_text(const OrderedJson& value, const std::string& where) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) fail(Code::bad_input, where, "text", "null");
  if (value.is_structured()) fail(Code::bad_input, where, "text", "an object or array");
  return value.dump();
}

// A text alone fills {text}; a template with other columns needs an object or a table.
std::string fill_with_text(const FileTaskOptions& task, const std::string& text, const std::string& where) {
  std::string source;
  for (const TemplatePart& part : parse_source_template(task.source_template)) {
    if (part.column && (part.text != "text" || !task.text_pair_column.empty()))
      fail(Code::bad_input, where,
           str("{\"source\": \"..\"}, or an object or row with the column ",
               quote(part.text == "text" ? task.text_pair_column : part.text)),
           "a text alone");
    source += part.column ? text : part.text;
  }
  return source;
}

// The columns that the template takes, in its order; {text} is --text_column and --text_pair_column.
std::vector<std::string> template_columns(const FileTaskOptions& task) {
  std::vector<std::string> columns;
  for (const TemplatePart& part : parse_source_template(task.source_template)) {
    if (!part.column) continue;
    columns.push_back(part.text == "text" ? task.text_column : part.text);
    if (part.text == "text" && !task.text_pair_column.empty()) columns.push_back(task.text_pair_column);
  }
  return columns;
}

std::string fill_with_object(const FileTaskOptions& task, const OrderedJson& object, const std::string& where) {
  const auto cell = [&](const std::string& column) { return cell_text(object[column], str(where, ": ", column)); };
  std::string source;
  for (const TemplatePart& part : parse_source_template(task.source_template)) {
    if (!part.column || part.text != "text") {
      source += part.column ? cell(part.text) : part.text;
      continue;
    }
    source += cell(task.text_column);
    if (!task.text_pair_column.empty()) source += " " + cell(task.text_pair_column);
  }
  return source;
}

// An object's columns fill the template; where it has not all of them, "source" is the finished text.
std::string source_of(const OrderedJson& value, const FileTaskOptions& task, const std::string& where) {
  if (value.is_string()) return fill_with_text(task, value.get<std::string>(), where);
  if (!value.is_object())
    fail(Code::bad_input, where, "\"text\", {\"text\": \"text\"} or {\"source\": \"text\"}", quote(value.dump()));
  const std::vector<std::string> columns = template_columns(task);
  if (std::all_of(columns.begin(), columns.end(), [&](const std::string& column) { return value.contains(column); }))
    return fill_with_object(task, value, where);
  if (const auto source = value.find("source"); source != value.end()) return cell_text(*source, where + ": source");
  std::vector<std::string> there;
  for (const auto& [key, cell] : value.items()) there.push_back(quote(key));
  fail(Code::bad_input, where, str("the keys ", join(columns, ", "), ", or source"), there.empty() ? "none" : join(there, ", "));
}

// A text is a row with the one column of texts.
void append_row(Table& table, const OrderedJson& value, const std::string& text_column, const std::string& where) {
  const OrderedJson row = value.is_string() ? OrderedJson{{text_column, value}} : value;
  std::vector<std::string> names, cells;
  for (const auto& [key, cell] : row.items()) {
    names.push_back(key);
    cells.push_back(cell.is_structured() ? cell.dump() : cell.is_null() ? "" : cell_text(cell, where));
  }
  if (table.rows.empty()) table.columns = names;
  if (names != table.columns)
    fail(Code::bad_input, where, str("the columns of the first row, ", table.column_names(), ", as --output is a table"),
         names.empty() ? "none" : join(names, ", "));
  table.rows.push_back(std::move(cells));
  table.lines.push_back(static_cast<int64_t>(table.rows.size()));
}

// `where` ends in the number of the value's line or row.
TextExample example_of(int64_t index, const OrderedJson& value, const FileTaskOptions& task, const std::string& where) {
  std::vector<ChatMessage> messages = value.is_object() ? chat_of_object(value, where) : std::vector<ChatMessage>();
  TextExample example{index, messages.empty() ? source_of(value, task, where) : chat_text(messages), ""};
  example.messages = std::move(messages);
  if (!task.image_column.empty() && value.is_object() && value.contains(task.image_column))
    example.image = cell_text(value[task.image_column], str(where, ": ", task.image_column));
  const size_t number = where.find_last_not_of("0123456789") + 1;
  const std::string column = !example.messages.empty()                                ? "messages"
                             : value.is_object() && !value.contains(task.text_column) ? "source"
                                                                                      : task.text_column;
  example.origin = std::make_shared<const TextOrigin>(
      TextOrigin{std::make_shared<const RowFile>(RowFile{where.substr(0, number), ""}), column, ""});
  example.number = std::stoll(where.substr(number));
  return example;
}

PredictRows read_values(const PredictSource& s) {
  PredictRows rows;
  rows.table.path = s.input.empty() || s.input == "-" ? "stdin" : s.input;
  JsonValues values(s.input, s.format, s.shared);
  while (const std::optional<OrderedJson> value = values.next()) {
    const auto index = static_cast<int64_t>(rows.examples.size());
    rows.examples.push_back(example_of(index, *value, s.data.task, values.where()));
    append_row(rows.table, *value, s.data.task.text_column, values.where());
  }
  return rows;
}

Table as_table(const std::vector<TextExample>& examples) {
  Table table;
  table.path = "test data";
  table.columns = {"index", "source", "target"};
  for (const TextExample& example : examples) {
    table.rows.push_back({str(example.index), example.source, example.target});
    table.lines.push_back(static_cast<int64_t>(table.rows.size()));
  }
  return table;
}

}  // namespace

void check_input_is_there(const PredictSource& s) {
  std::error_code error;
  const bool there = s.input.empty() || s.input == "-" || fs::exists(s.input, error);
  if (!there) fail(Code::io, "--input", "a file that is there", quote(s.input));
}

void check_input(const PredictSource& s) {
  if (takes_test_split(s)) return check_task(s.data, no_draw, {SplitName::test});
  check_input_is_there(s);
  if (!is_table(s)) return;
  if (s.data.named()) return check_named_rows(named_task(s.data, no_draw), s.input);
  check_file_examples(s.data.task, s.input, false);
}

OrderedJson input_contents(const PredictSource& s) {
  OrderedJson contents = OrderedJson::object();
  if (!is_table(s)) return contents;
  Digest digest;
  add_file(digest, s.input);
  contents["input"][s.input] = digest.hex();
  return contents;
}

PredictRows read_all_rows(const PredictSource& s) {
  if (!takes_test_split(s) && !is_table(s)) return read_values(s);
  PredictRows rows;
  rows.examples = load_rows(s);
  rows.table = takes_test_split(s) ? as_table(rows.examples)
                                   : read_table(s.input, table_format(s.data.task.delimiter, s.data.task.quoting));
  return rows;
}

void for_each_batch(const PredictSource& s, size_t size, const std::function<void(std::span<const TextExample>)>& body) {
  if (takes_test_split(s) || is_table(s)) {
    const std::vector<TextExample> rows = load_rows(s);
    const size_t taken = std::max(size, table_rows);
    for (size_t first = 0; first < rows.size(); first += taken)
      body(std::span(rows).subspan(first, std::min(taken, rows.size() - first)));
    return;
  }
  JsonValues values(s.input, s.format, s.shared);
  std::vector<TextExample> rows;
  int64_t index = 0;
  const auto flush = [&] {
    if (!rows.empty()) body(rows);
    rows.clear();
  };
  try {
    while (const std::optional<OrderedJson> value = values.next()) {
      rows.push_back(example_of(index++, *value, s.data.task, values.where()));
      if (rows.size() == size) flush();
    }
  } catch (const Error&) {
    flush();  // what came before the bad line
    throw;
  }
  flush();
}

}  // namespace dept
