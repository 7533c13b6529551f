// A task: which texts and answers there are, which labels, how predictions are scored.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dept/chat.h"
#include "dept/metrics.h"

namespace dept {

struct TextOrigin;

/// One of several answers to learn from.
struct ScoredAnswer {
  std::string text;
  double score = 1;
};

struct TextExample {
  int64_t index = 0;  ///< row in its file, or of all files of its split together
  std::string source;
  std::string target;                          ///< the answer's text (a label's word for classification); "" when unlabelled
  std::string group{};                         ///< of a named task: the question that this answer is evaluated with; "" none
  std::shared_ptr<const TextOrigin> origin{};  ///< null: in no file
  int64_t number = 0;                          ///< its line or row there, as in RowPlace
  std::vector<ChatMessage> messages{};         ///< the conversation that the target answers; empty: `source` is a text
  std::string image{};                         ///< as its row names it: a path, or a name in a file of features; "" none
  std::vector<std::string> answers{};          ///< of several people, for metrics that compare with all; empty: the target alone
  std::vector<ScoredAnswer> scored{};          ///< what training draws the target from, by score; empty: the target alone

  /// "FILE:3: text" and "FILE:3: label", for messages about this example.
  std::string where_source() const;
  std::string where_target() const;
};

/// A user's own data: files, columns, labels.
struct FileTaskOptions {
  std::vector<std::string> train_file, validation_file, test_file;  ///< each one file or several with the same columns
  std::string delimiter;                                            ///< of delimited files, as table_format takes it
  std::optional<std::string> quoting;                               ///< likewise
  std::string text_column = "text";        ///< falls back to "source" when the file has that and not "text"
  std::string text_pair_column;            ///< joined to the text with a blank
  std::string label_column = "label";      ///< falls back to "target"
  std::string image_column;                ///< of each row's image; "" rows have none
  std::vector<std::string> labels;         ///< empty: the class names of the first file, or what it holds, sorted
  std::vector<std::string> label_words;    ///< what the model says for each label (default: the labels)
  std::string source_template = "{text}";  ///< {text} is the text (and pair), {name} the column name; {{ and }} are braces
  std::vector<std::string> metrics;        ///< default: accuracy and f1_macro (f1 with two labels) for labels, else exact_match
  bool chat = false;                       ///< texts are what a user says, put to the model in its chat form; no option
};

struct TaskData {
  std::string name;
  std::vector<TextExample> train, validation, test;
  std::vector<std::string> labels;       ///< empty for free text
  std::vector<std::string> label_words;  ///< same length as labels
  std::vector<std::string> metrics;
  bool chat = false;       ///< the rows are conversations
  bool cleans_up = false;  ///< answers, and free-text targets as their ids say them, are evaluated after clean_up_spaces
  bool free_text() const { return labels.empty(); }
  /// Answers are numbers, labels only those that are expected most.
  bool numeric() const { return !metrics.empty() && metrics.front() == "pearson"; }

  /// The label whose word is `text` (both stripped), or the stripped text itself when there is none.
  std::string label_of(std::string_view text) const;
};

/// Reads everything. A file without the text's column whose rows have "messages", or "instruction" and "output", holds
/// conversations: each assistant's message is an example, behind all that precedes it. Rows whose class is hidden (-1 in a
/// ClassLabel column) are left out, which a line says. Answers are free text when no labels or label words are given and their
/// column is "target" (or all metrics are of free text: exact_match, pearson, spearmanr); else each must be a label: an unknown
/// or empty one throws bad_input with file and line.
TaskData load_file_task(const FileTaskOptions& options);

}  // namespace dept
