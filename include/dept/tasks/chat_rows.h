// Rows that are conversations: "messages", or Alpaca's instruction, input and output.
#pragma once

#include <string>
#include <vector>

#include "dept/base/json.h"
#include "dept/data/table.h"
#include "dept/tasks/task.h"

namespace dept {

/// Whether the file's rows are conversations: its columns are messages, or instruction and output, and no text's. Options that
/// name columns or a template of their own say that they are none.
bool has_chat_rows(const FileTaskOptions& options, const Table& table);

/// Throws usage for options that conversations have no use for: labels, and metrics of labels.
void check_chat_options(const FileTaskOptions& options);

/// Labelled: each assistant's message as an example. Else an example a row: a last message of an assistant is left out. Throws
/// bad_input naming file and row.
std::vector<TextExample> read_chat_examples(const Table& table, bool labelled);

/// The messages of a JSON object's row, without an answer of its last assistant; none where it is no conversation. Throws
/// bad_input naming `where`.
std::vector<ChatMessage> chat_of_object(const OrderedJson& object, const std::string& where);

/// A conversation for people: "user: ..", a line a message.
std::string chat_text(const std::vector<ChatMessage>& messages);

}  // namespace dept
