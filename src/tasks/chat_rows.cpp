#include "dept/tasks/chat_rows.h"

#include <algorithm>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/text/chat.h"

namespace dept {
namespace {

std::vector<ChatMessage> instruction(const std::string& asked, const std::string& input) {
  return {{"user", input.empty() ? asked : asked + "\n\n" + input}};
}

/// The conversations of a table.
class ChatReader {
 public:
  explicit ChatReader(const Table& table) : table_(table), messages_(table.has("messages")) {}

  /// Of Alpaca's rows with the output as the answer.
  std::vector<ChatMessage> row(size_t row) const {
    if (messages_) return read_messages(OrderedJson(parse_json(cell(row, "messages"), table_.where(row))), place(row));
    std::vector<ChatMessage> messages = instruction(cell(row, "instruction"), table_.has("input") ? cell(row, "input") : "");
    messages.push_back({"assistant", cell(row, "output")});
    return messages;
  }

  std::string place(size_t row) const { return str(table_.where(row), messages_ ? ": messages" : ": instruction"); }
  std::string source_columns() const {
    return messages_ ? "messages" : table_.has("input") ? "instruction, input" : "instruction";
  }
  std::string answer_column() const { return messages_ ? "messages" : "output"; }

 private:
  const std::string& cell(size_t row, std::string_view name) const {
    const auto column = std::find(table_.columns.begin(), table_.columns.end(), name) - table_.columns.begin();
    return table_.rows[row][static_cast<size_t>(column)];
  }

  const Table& table_;
  bool messages_;
};

bool is_answer(const ChatMessage& message) {
  return message.role == "assistant";
}

void drop_answer(std::vector<ChatMessage>& messages) {
  if (!messages.empty() && is_answer(messages.back())) messages.pop_back();
}

}  // namespace

bool has_chat_rows(const FileTaskOptions& options, const Table& table) {
  const FileTaskOptions standard;
  if (options.text_column != standard.text_column || options.label_column != standard.label_column ||
      options.source_template != standard.source_template || !options.text_pair_column.empty())
    return false;
  return !table.has("text") && !table.has("source") &&
         (table.has("messages") || (table.has("instruction") && table.has("output")));
}

void check_chat_options(const FileTaskOptions& options) {
  if (!options.labels.empty() || !options.label_words.empty())
    fail(Code::usage, "labels", "none for conversations, whose answers are free text", join(options.labels, ", "));
  for (const std::string& metric : options.metrics)
    if (metric != "exact_match") fail(Code::usage, "metrics", "exact_match for conversations", quote(metric));
}

std::vector<TextExample> read_chat_examples(const Table& table, bool labelled) {
  const ChatReader reader(table);
  Origins origins(table, reader.source_columns(), reader.answer_column());
  std::vector<TextExample> examples;
  const auto add = [&](std::vector<ChatMessage> messages, std::string answer, size_t row) {
    if (messages.empty()) fail(Code::bad_input, reader.place(row), "a message in front of an assistant's", "none");
    TextExample example{static_cast<int64_t>(examples.size()), chat_text(messages), std::move(answer)};
    origins.mark(example, row);
    example.messages = std::move(messages);
    examples.push_back(std::move(example));
  };
  for (size_t row = 0; row < table.rows.size(); ++row) {
    std::vector<ChatMessage> messages = reader.row(row);
    if (!labelled) {
      drop_answer(messages);
      add(std::move(messages), "", row);
      continue;
    }
    if (std::none_of(messages.begin(), messages.end(), is_answer))
      fail(Code::bad_input, reader.place(row), "a message of an assistant", "none");
    for (auto answer = messages.begin(); answer != messages.end(); ++answer) {
      if (!is_answer(*answer)) continue;
      if (answer->content.empty()) fail(Code::bad_input, reader.place(row), "an answer", "an empty one");
      add({messages.begin(), answer}, answer->content, row);
    }
  }
  return examples;
}

std::vector<ChatMessage> chat_of_object(const OrderedJson& object, const std::string& where) {
  if (const auto list = object.find("messages"); list != object.end()) {
    std::vector<ChatMessage> messages = read_messages(*list, where + ": messages");
    drop_answer(messages);
    if (messages.empty()) fail(Code::bad_input, where + ": messages", "a message in front of an assistant's", "none");
    return messages;
  }
  const auto asked = object.find("instruction"), input = object.find("input");
  if (asked == object.end() || !asked->is_string() || object.contains("text") || object.contains("source")) return {};
  return instruction(asked->get<std::string>(), input != object.end() && input->is_string() ? input->get<std::string>() : "");
}

std::string chat_text(const std::vector<ChatMessage>& messages) {
  std::vector<std::string> lines;
  for (const ChatMessage& message : messages) lines.push_back(message.role + ": " + message.content);
  return join(lines, "\n");
}

}  // namespace dept
