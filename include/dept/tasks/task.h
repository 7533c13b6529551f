// How a task is read from files.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dept/data/table.h"
#include "dept/task.h"

namespace dept {

/// What messages say of a file's rows: the file, and the columns that source and answer are made of.
struct TextOrigin {
  std::shared_ptr<const RowFile> file;
  std::string source_columns, answer_column;
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

/// What transformers 4 does to decoded text (clean_up_tokenization_spaces): no blank before . ? ! , n't 'm 's 've 're, none
/// around '.
std::string clean_up_spaces(std::string text);
/// Without what Python's str.strip takes off both ends.
std::string strip_unicode(std::string_view text);

/// All checks that need only the options and the files' heads: existence, extension, columns, template, label words, metrics.
/// One message for all problems, with the first one's code. Throws io, bad_input, usage.
void check_file_task(const FileTaskOptions& options);

/// What load_file_examples would throw that the file's head and the template show: for checks before a model is loaded.
void check_file_examples(const FileTaskOptions& options, const fs::path& path, bool labelled);

/// One unlabelled or labelled file for `predict` and `eval`; without `labels` answers are free text.
std::vector<TextExample> load_file_examples(const FileTaskOptions& options, const fs::path& path, bool labelled,
                                            const std::vector<std::string>& labels);

}  // namespace dept
