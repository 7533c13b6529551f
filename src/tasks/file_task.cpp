#include <algorithm>
#include <array>
#include <set>

#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/problems.h"
#include "dept/base/text.h"
#include "dept/tasks/chat_rows.h"
#include "dept/tasks/number_text.h"
#include "dept/tasks/source_template.h"
#include "dept/tasks/task.h"

namespace dept {
namespace {

constexpr size_t max_collected_labels = 1000;
constexpr std::string_view hidden_class = "-1";

std::string with_fallback(const Table& table, const std::string& name, std::string_view standard, std::string_view fallback) {
  return name == standard && !table.has(name) && table.has(fallback) ? std::string(fallback) : name;
}

std::string answer_column(const FileTaskOptions& options, const Table& table) {
  return with_fallback(table, options.label_column, "label", "target");
}

/// Source and answer of a table's rows.
class RowReader {
 public:
  /// Throws bad_input that names all the missing columns.
  RowReader(const FileTaskOptions& options, const Table& table, bool labelled) : table_(table) {
    std::vector<std::string> missing, used;
    const auto column = [&](const std::string& name) -> size_t {
      used.push_back(name);
      if (table.has(name)) return table.column(name);
      if (std::find(missing.begin(), missing.end(), quote(name)) == missing.end()) missing.push_back(quote(name));
      return 0;
    };
    for (const TemplatePart& part : parse_source_template(options.source_template)) {
      if (!part.column) {
        pieces_.push_back({part.text, 0, false});
      } else if (part.text != "text") {
        pieces_.push_back({"", column(part.text), true});
      } else {
        pieces_.push_back({"", column(with_fallback(table, options.text_column, "text", "source")), true});
        if (options.text_pair_column.empty()) continue;
        pieces_.push_back({" ", 0, false});
        pieces_.push_back({"", column(options.text_pair_column), true});
      }
    }
    sources_ = join(used, ", ");
    if (!options.image_column.empty()) image_ = column(options.image_column);
    if (labelled) answer_ = column(answer_column(options, table));
    if (missing.empty()) return;
    const std::string hint = table.delimiter_hint();
    fail(Code::bad_input, table.path.string(), str(missing.size() == 1 ? "a column " : "columns ", join(missing, ", ")),
         str("columns ", table.column_names(), hint.empty() ? flag_hint(options, table, labelled) : hint));
  }

  /// "" where rows have none. Throws bad_input with file and line for an empty cell.
  std::string image(size_t row) const {
    if (!image_) return "";
    const std::string& name = table_.rows[row][*image_];
    if (strip(name).empty())
      fail(Code::bad_input, table_.where(row), str("an image in column ", quote(table_.columns[*image_])),
           table_.is_null(row, *image_) ? "null" : "an empty cell");
    return name;
  }

  std::string source(size_t row) const {
    std::string text;
    for (const Piece& piece : pieces_) {
      if (piece.is_column && table_.is_null(row, piece.column))
        fail(Code::bad_input, table_.where(row), str("text in column ", quote(table_.columns[piece.column])), "null");
      text += piece.is_column ? table_.rows[row][piece.column] : piece.words;
    }
    return text;
  }

  /// Stripped. Throws bad_input with file and line when there is none.
  std::string_view answer(size_t row) const {
    const std::string_view text = strip(table_.rows[row][answer_]);
    if (text.empty())
      fail(Code::bad_input, table_.where(row), str("an answer in column ", quote(table_.columns[answer_])),
           table_.is_null(row, answer_) ? "null" : "an empty cell");
    return text;
  }

  /// The names of the answers' classes where the file says them.
  std::vector<std::string> class_names() const {
    return answer_ < table_.class_names.size() ? table_.class_names[answer_] : std::vector<std::string>();
  }
  bool is_hidden(size_t row) const { return !class_names_empty() && answer(row) == hidden_class; }

  Origins origins() const { return Origins(table_, sources_, table_.columns[answer_]); }

 private:
  struct Piece {
    std::string words;
    size_t column;
    bool is_column;
  };

  // Which flags name other columns.
  static std::string flag_hint(const FileTaskOptions& options, const Table& table, bool labelled) {
    const bool text = !table.has(with_fallback(table, options.text_column, "text", "source"));
    const bool label = labelled && !table.has(answer_column(options, table));
    std::vector<std::string> flags;
    if (text) flags.emplace_back("--text_column");
    if (label) flags.emplace_back("--label_column");
    if (!options.image_column.empty() && !table.has(options.image_column)) flags.emplace_back("--image_column");
    return flags.empty() ? "" : str(" (", join(flags, " and "), flags.size() == 1 ? " names another)" : " name others)");
  }

  bool class_names_empty() const { return answer_ >= table_.class_names.size() || table_.class_names[answer_].empty(); }

  const Table& table_;
  std::vector<Piece> pieces_;
  std::string sources_;
  size_t answer_ = 0;
  std::optional<size_t> image_;
};

struct NamedFiles {
  const char* name;
  const std::vector<std::string>& paths;
};

std::vector<NamedFiles> files_of(const FileTaskOptions& options) {
  std::vector<NamedFiles> files;
  for (const NamedFiles& split :
       {NamedFiles{"train_file", options.train_file}, NamedFiles{"validation_file", options.validation_file},
        NamedFiles{"test_file", options.test_file}})
    if (!split.paths.empty()) files.push_back(split);
  return files;
}

// Labels that are numbers are those that a file holds in the place of its class names.
TableFormat format_of(const FileTaskOptions& options) {
  TableFormat format = table_format(options.delimiter, options.quoting);
  format.class_names = options.labels.empty() || !all_integers(options.labels);
  return format;
}

void require_distinct(const std::vector<std::string>& values, std::string_view option) {
  std::set<std::string_view> seen;
  for (const std::string& value : values) {
    if (strip(value).empty()) fail(Code::usage, option, "words", "an empty one");
    if (!seen.insert(strip(value)).second) fail(Code::usage, option, "each once", str(quote(value), " twice"));
  }
}

void check_labels(const std::vector<std::string>& labels, const std::vector<std::string>& words,
                  const std::vector<std::string>& metrics) {
  if (labels.size() == 1) fail(Code::usage, "labels", "two labels or more", str("one, ", quote(labels[0])));
  if (!words.empty() && words.size() != labels.size())
    fail(Code::usage, "label_words", str("one for each of ", labels.size(), " labels (", join(labels, ", "), ")"),
         str(words.size()));
  if (labels.size() != 2 && std::find(metrics.begin(), metrics.end(), "f1") != metrics.end())
    fail(Code::usage, "metrics", "f1 with two labels only (else f1_macro)", str(labels.size(), " labels"));
}

void check_metric(const std::string& name) {
  const std::vector<std::string>& known = metric_names();
  if (std::find(known.begin(), known.end(), name) == known.end())
    fail(Code::usage, "metrics", str("one of ", join(known, ", ")), quote(name));
}

void check_template(const FileTaskOptions& options) {
  const std::vector<TemplatePart> parts = parse_source_template(options.source_template);
  const bool has_text =
      std::any_of(parts.begin(), parts.end(), [](const TemplatePart& part) { return part.column && part.text == "text"; });
  const bool has_column = std::any_of(parts.begin(), parts.end(), [](const TemplatePart& part) { return part.column; });
  if (!has_column) fail(Code::usage, "source_template", "a column, as in {text}", quote(options.source_template));
  if (!has_text && !options.text_pair_column.empty())
    fail(Code::usage, "text_pair_column", "a source_template with {text}", quote(options.source_template));
}

bool answers_are_free(const FileTaskOptions& options, const std::string& column) {
  const auto evaluates_free_text = [](const std::string& metric) {
    constexpr std::array free = {"exact_match", "pearson", "spearmanr", "vqa_accuracy", "cider_d", "bleu_4"};
    return std::find(free.begin(), free.end(), metric) != free.end();
  };
  const bool only_such =
      !options.metrics.empty() && std::all_of(options.metrics.begin(), options.metrics.end(), evaluates_free_text);
  return options.labels.empty() && options.label_words.empty() && (column == "target" || only_such);
}

std::vector<std::string> collect_labels(const Table& table, const RowReader& reader) {
  if (std::vector<std::string> names = reader.class_names(); !names.empty()) return names;
  std::set<std::string, std::less<>> labels;
  for (size_t row = 0; row < table.rows.size(); ++row) {
    const std::string_view answer = reader.answer(row);
    if (labels.find(answer) != labels.end()) continue;
    labels.emplace(answer);
    if (labels.size() > max_collected_labels)
      fail(Code::bad_input, table.where(row), str("at most ", max_collected_labels, " labels (free text: metrics exact_match)"),
           "more");
  }
  return {labels.begin(), labels.end()};
}

std::vector<TextExample> read_examples(const Table& table, const RowReader& reader, bool labelled,
                                       const std::vector<std::string>& labels, const std::vector<std::string>& words) {
  std::vector<TextExample> examples;
  examples.reserve(table.rows.size());
  Origins origins = reader.origins();
  for (size_t row = 0; row < table.rows.size(); ++row) {
    if (labelled && reader.is_hidden(row)) continue;
    TextExample example{static_cast<int64_t>(row), reader.source(row), ""};
    example.image = reader.image(row);
    origins.mark(example, row);
    if (labelled) {
      const std::string_view answer = reader.answer(row);
      const auto found =
          std::find_if(labels.begin(), labels.end(), [&](const std::string& label) { return strip(label) == answer; });
      if (!labels.empty() && found == labels.end())
        fail(Code::bad_input, table.where(row), str("a label of ", join(labels, ", ")), quote(answer));
      example.target = labels.empty() ? std::string(answer) : words[static_cast<size_t>(found - labels.begin())];
    }
    examples.push_back(std::move(example));
  }
  const size_t hidden = table.rows.size() - examples.size();
  if (examples.empty())
    fail(Code::bad_input, table.path.string(), "a row with a label", str(hidden, " whose class is hidden (-1)"));
  if (hidden > 0) log::info(str(table.path.string(), ": ", hidden, " rows with a hidden class (-1) are left out"));
  return examples;
}

std::vector<std::string> default_metrics(const std::vector<std::string>& labels) {
  if (labels.empty()) return {"exact_match"};
  return {"accuracy", labels.size() == 2 ? "f1" : "f1_macro"};
}

}  // namespace

std::string TaskData::label_of(std::string_view text) const {
  const std::string_view word = strip(text);
  for (size_t i = 0; i < label_words.size(); ++i)
    if (strip(label_words[i]) == word) return labels[i];
  return std::string(word);
}

std::string TextExample::where_source() const {
  return origin == nullptr ? str("row ", index) : str(RowPlace{origin->file, number}.text(), ": ", origin->source_columns);
}

std::string TextExample::where_target() const {
  return origin == nullptr ? str("row ", index) : str(RowPlace{origin->file, number}.text(), ": ", origin->answer_column);
}

void Origins::mark(TextExample& example, size_t row) {
  const RowPlace place = table_->place(row);
  std::shared_ptr<const TextOrigin>& origin = made_[place.file.get()];
  if (origin == nullptr) origin = std::make_shared<const TextOrigin>(TextOrigin{place.file, source_columns_, answer_column_});
  example.origin = origin;
  example.number = place.number;
}

void check_file_task(const FileTaskOptions& options) {
  Problems problems;
  TableFormat format;
  problems.attempt([&] { format = format_of(options); });
  const bool template_is_sound = problems.attempt([&] { check_template(options); });
  for (const NamedFiles& split : files_of(options)) {
    for (const std::string& path : split.paths) {
      problems.attempt([&] {
        require_readable_file(path, split.name);
        const Table head = read_table_head(path, format);
        if (has_chat_rows(options, head))
          check_chat_options(options);
        else if (template_is_sound)
          RowReader(options, head, true);
      });
    }
  }
  problems.attempt([&] { require_distinct(options.labels, "labels"); });
  problems.attempt([&] { require_distinct(options.label_words, "label_words"); });
  for (const std::string& metric : options.metrics) problems.attempt([&] { check_metric(metric); });
  if (!options.labels.empty()) problems.attempt([&] { check_labels(options.labels, options.label_words, options.metrics); });
  problems.raise();
}

TaskData load_file_task(const FileTaskOptions& options) {
  check_file_task(options);
  TaskData task;
  task.name = "file";
  task.labels = options.labels;
  task.label_words = options.label_words;
  bool first = true;
  for (const NamedFiles& split : files_of(options)) {
    const Table table = read_tables(split.paths, format_of(options));
    auto& examples = &split.paths == &options.train_file        ? task.train
                     : &split.paths == &options.validation_file ? task.validation
                                                                : task.test;
    const bool chat = has_chat_rows(options, table);
    if (!first && chat != task.chat)
      fail(Code::bad_input, table.path.string(), str(task.chat ? "conversations" : "texts", ", as in the first file"),
           str("columns ", table.column_names()));
    if (chat) {
      task.chat = true;
      first = false;
      examples = read_chat_examples(table, true);
      continue;
    }
    const RowReader reader(options, table, true);
    if (first && task.labels.empty() && !answers_are_free(options, answer_column(options, table))) {
      task.labels = collect_labels(table, reader);
      check_labels(task.labels, task.label_words, options.metrics);
    }
    if (task.label_words.empty()) task.label_words = task.labels;
    first = false;
    examples = read_examples(table, reader, true, task.labels, task.label_words);
  }
  task.metrics = options.metrics.empty() ? default_metrics(task.labels) : options.metrics;
  return task;
}

void check_file_examples(const FileTaskOptions& options, const fs::path& path, bool labelled) {
  check_template(options);
  const Table head = read_table_head(path, format_of(options));
  if (!has_chat_rows(options, head)) RowReader(options, head, labelled);
}

std::vector<TextExample> load_file_examples(const FileTaskOptions& options, const fs::path& path, bool labelled,
                                            const std::vector<std::string>& labels) {
  if (!labels.empty()) check_labels(labels, options.label_words, options.metrics);
  const Table table = read_table(path, format_of(options));
  if (has_chat_rows(options, table)) return read_chat_examples(table, labelled);
  return read_examples(table, RowReader(options, table, labelled), labelled, labels,
                       options.label_words.empty() ? labels : options.label_words);
}

}  // namespace dept
