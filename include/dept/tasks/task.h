// A task: what a row of a table becomes as text, which labels there are, how predictions are scored.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dept/data/table.h"
#include "dept/tasks/metrics.h"

namespace dept {

/// What messages say of a file's rows: the file, and the columns that source and answer are made of.
struct TextOrigin {
  std::shared_ptr<const RowFile> file;
  std::string source_columns, answer_column;
};

struct TextExample {
  int64_t index = 0;  ///< row in its file, or of all files of its split together
  std::string source;
  std::string target;                          ///< the answer's text (a label's word for classification); "" when unlabelled
  std::string group{};                         ///< of a named task: the question that this answer is judged with; "" none
  std::shared_ptr<const TextOrigin> origin{};  ///< null: in no file
  int64_t number = 0;                          ///< its line or row there, as in RowPlace

  /// "FILE:3: text" and "FILE:3: label", for messages about this example.
  std::string where_source() const;
  std::string where_target() const;
};

/// Gives the examples of a table, which must outlive this, their origins.
class Origins {
 public:
  Origins(const Table& table, std::string source_columns, std::string answer_column)
      : table_(&table), source_columns_(std::move(source_columns)), answer_column_(std::move(answer_column)) {}
  void mark(TextExample& example, size_t row);

 private:
  const Table* table_;
  std::string source_columns_, answer_column_;
  std::map<const RowFile*, std::shared_ptr<const TextOrigin>> made_;
};

/// A user's own data: files, columns, labels.
struct FileTaskOptions {
  std::vector<std::string> train_file, validation_file, test_file;  ///< each one file or several with the same columns
  std::string delimiter;                                            ///< of delimited files, as table_format takes it
  std::optional<std::string> quoting;                               ///< likewise
  std::string text_column = "text";        ///< falls back to "source" when the file has that and not "text"
  std::string text_pair_column;            ///< joined to the text with a blank
  std::string label_column = "label";      ///< falls back to "target"
  std::vector<std::string> labels;         ///< empty: the class names of the first file, or what it holds, sorted
  std::vector<std::string> label_words;    ///< what the model says for each label (default: the labels)
  std::string source_template = "{text}";  ///< {text} is the text (and pair), {name} the column name; {{ and }} are braces
  std::vector<std::string> metrics;        ///< default: accuracy and f1_macro (f1 with two labels) for labels, else exact_match
};

struct TaskData {
  std::string name;
  std::vector<TextExample> train, validation, test;
  std::vector<std::string> labels;       ///< empty for free text
  std::vector<std::string> label_words;  ///< same length as labels
  std::vector<std::string> metrics;
  bool cleans_up = false;  ///< answers, and free-text targets as their ids say them, are judged after clean_up_spaces
  bool free_text() const { return labels.empty(); }
  /// Answers are numbers, labels only those that are expected most.
  bool numeric() const { return !metrics.empty() && metrics.front() == "pearson"; }

  /// The label whose word is `text` (both stripped), or the stripped text itself when there is none.
  std::string label_of(std::string_view text) const;
};

/// What transformers 4 does to decoded text (clean_up_tokenization_spaces): no blank before . ? ! , n't 'm 's 've 're, none
/// around '.
std::string clean_up_spaces(std::string text);
/// Without what Python's str.strip takes off both ends.
std::string strip_unicode(std::string_view text);

/// All checks that need only the options and the files' heads: existence, extension, columns, template, label words, metrics.
/// One message for all problems, with the first one's code. Throws io, bad_input, usage.
void check_file_task(const FileTaskOptions& options);

/// Reads everything. Rows whose class is hidden (-1 in a ClassLabel column) are left out, which a line says. Answers are free
/// text when no labels or label words are given and their column is "target" (or all metrics are of free text: exact_match,
/// pearson, spearmanr); else each must be a label: an unknown or empty one throws bad_input with file and line.
TaskData load_file_task(const FileTaskOptions& options);

/// What load_file_examples would throw that the file's head and the template show: for checks before a model is loaded.
void check_file_examples(const FileTaskOptions& options, const fs::path& path, bool labelled);

/// One unlabelled or labelled file for `predict` and `eval`; without `labels` answers are free text.
std::vector<TextExample> load_file_examples(const FileTaskOptions& options, const fs::path& path, bool labelled,
                                            const std::vector<std::string>& labels);

}  // namespace dept
