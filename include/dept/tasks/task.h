// A task: what a row of a table becomes as text, which labels there are, how predictions are scored.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dept/data/table.h"
#include "dept/tasks/metrics.h"

namespace dept {

struct TextExample {
  int64_t index = 0;  ///< row in its file
  std::string source;
  std::string target;   ///< the answer's text (a label's word for classification); "" when unlabelled
  std::string group{};  ///< of a named task: the question that this answer is judged with; "" none
};

/// A user's own data: files, columns, labels.
struct FileTaskOptions {
  std::optional<std::string> train_file, validation_file, test_file;
  std::string text_column = "text";        ///< falls back to "source" when the file has that and not "text"
  std::string text_pair_column;            ///< joined to the text with a blank
  std::string label_column = "label";      ///< falls back to "target"
  std::vector<std::string> labels;         ///< empty: collected from the first of the files, sorted
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

/// Reads everything. Answers are free text when no labels or label words are given and their column is "target" (or all
/// metrics are of free text: exact_match, pearson, spearmanr); else each must be a label: an unknown or empty one throws
/// bad_input with file and line.
TaskData load_file_task(const FileTaskOptions& options);

/// What load_file_examples would throw that the file's head and the template show: for checks before a model is loaded.
void check_file_examples(const FileTaskOptions& options, const fs::path& path, bool labelled);

/// One unlabelled or labelled file for `predict` and `eval`; without `labels` answers are free text.
std::vector<TextExample> load_file_examples(const FileTaskOptions& options, const fs::path& path, bool labelled,
                                            const std::vector<std::string>& labels);

}  // namespace dept
