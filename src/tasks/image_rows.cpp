#include "tasks/image_rows.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "dept/base/error.h"
#include "dept/base/json.h"
#include "dept/base/text.h"
#include "dept/data/table.h"
#include "dept/tasks/vqa_metric.h"

namespace dept {
namespace {

// "train2014/COCO_train2014_000000000009.jpg" of "COCO_train2014_000000000009.jpg"; other names stay.
std::string in_its_folder(const std::string& file_name) {
  constexpr std::string_view coco = "COCO_";
  const size_t end = file_name.rfind('_');
  if (!file_name.starts_with(coco) || end == std::string::npos || end < coco.size()) return file_name;
  return str(file_name.substr(coco.size(), end - coco.size()), "/", file_name);
}

// The images of the questions of "test-dev2015" are among those of "test2015".
std::string image_split(const std::string& subtype) {
  return subtype == "test-dev2015" ? "test2015" : subtype;
}

std::string coco_name(const std::string& split, const std::string& id) {
  const std::string zeros(12 - std::min<size_t>(12, id.size()), '0');
  return str("COCO_", split, "_", zeros, id, ".jpg");
}

// Messages name rows of a file by what the file calls them.
class RowNames {
 public:
  RowNames(const fs::path& file, const std::string& unit, std::string source, std::string answer)
      : origin_(std::make_shared<const TextOrigin>(
            TextOrigin{std::make_shared<const RowFile>(RowFile{file.string(), str(": ", unit, " ")}), std::move(source),
                       std::move(answer)})) {}

  void mark(TextExample& example, const std::string& id) const {
    example.origin = origin_;
    example.number = number_of_row(id);
  }
  std::string where(const std::string& id) const { return str(origin_->file->name, origin_->file->unit, id); }

 private:
  int64_t number_of_row(const std::string& id) const {
    const Json value = Json::parse(id, nullptr, false);
    if (!value.is_number_integer()) fail(Code::bad_input, where(quote(id)), "an integer as its id", quote(id));
    return value.get<int64_t>();
  }
  std::shared_ptr<const TextOrigin> origin_;
};

const std::string& cell_of(const Table& table, size_t row, std::string_view column) {
  return table.rows[row][table.column(column)];
}

// The texts under `key` of a nested cell's objects. Throws bad_input naming the row.
std::vector<std::string> texts_in(const Table& table, size_t row, std::string_view column, std::string_view key) {
  const auto place = std::find(table.columns.begin(), table.columns.end(), column);
  if (place == table.columns.end()) table.column(column);  // throws
  const std::string& cell = table.rows[row][static_cast<size_t>(place - table.columns.begin())];
  const Json list = Json::parse(cell, nullptr, false);
  const std::string where = str(table.where(row), ": ", column);
  if (!list.is_array() || list.empty()) fail(Code::bad_input, where, "a list of objects", quote(cell));
  std::vector<std::string> texts;
  for (const Json& one : list) texts.push_back(require<std::string>(one, key, where));
  return texts;
}

// The answers of several people with VQA's score of each, the first of the best first.
std::vector<ScoredAnswer> scored_answers(const std::vector<std::string>& people) {
  constexpr std::array scores = {0.0, 0.3, 0.6, 0.9, 1.0};
  std::vector<std::pair<std::string, size_t>> counts;
  for (const std::string& person : people) {
    const std::string answer = normalise_vqa_answer(person);
    if (answer.empty()) continue;
    const auto found = std::find_if(counts.begin(), counts.end(), [&](const auto& one) { return one.first == answer; });
    if (found == counts.end())
      counts.emplace_back(answer, 1);
    else
      ++found->second;
  }
  std::stable_sort(counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  std::vector<ScoredAnswer> scored;
  for (const auto& [answer, count] : counts) scored.push_back({answer, scores[std::min(count, scores.size() - 1)]});
  return scored;
}

// What the annotations say of each question.
using PeoplesAnswers = std::unordered_map<std::string, std::vector<std::string>>;

void add_answers(const Table& annotations, PeoplesAnswers& answers) {
  for (size_t row = 0; row < annotations.rows.size(); ++row)
    answers[cell_of(annotations, row, "question_id")] = texts_in(annotations, row, "answers", "answer");
}

void add_answer(const ImageRows& rows, const PeoplesAnswers& answers, const std::string& id, const std::string& where,
                TextExample& example) {
  const auto found = answers.find(id);
  if (found == answers.end()) {
    if (rows.labelled) fail(Code::bad_input, where, "its answers in a file of annotations, given beside this one", "none");
    return;
  }
  example.answers = found->second;
  example.scored = scored_answers(example.answers);
  if (example.scored.empty()) example.scored = {{example.answers.front(), 0}};
  example.target = example.scored.front().text;
}

void add_questions(const ImageRows& rows, const JsonMember& questions, const PeoplesAnswers& answers,
                   std::vector<TextExample>& examples) {
  const Table& table = questions.table;
  const RowNames names(table.path, "question_id", "question", "answers");
  const auto subtype = questions.beside.find("data_subtype");
  if (subtype == questions.beside.end())
    fail(Code::bad_input, table.path.string(), "\"data_subtype\", which names the images", "none");
  for (size_t row = 0; row < table.rows.size(); ++row) {
    const std::string& id = cell_of(table, row, "question_id");
    TextExample example{static_cast<int64_t>(examples.size()), str(rows.prefix, "vqa: ", cell_of(table, row, "question")), ""};
    names.mark(example, id);
    example.image = in_its_folder(coco_name(image_split(subtype->second), cell_of(table, row, "image_id")));
    add_answer(rows, answers, id, names.where(id), example);
    examples.push_back(std::move(example));
  }
}

std::vector<TextExample> read_vqa(const ImageRows& rows) {
  std::vector<JsonMember> questions;
  PeoplesAnswers answers;
  for (const std::string& file : rows.files) {
    JsonMember member = read_json_member(file, {"questions", "annotations"});
    if (member.key.empty()) fail(Code::bad_input, file, "\"questions\" or \"annotations\" of VQA, a list of objects", "neither");
    if (member.key == "questions")
      questions.push_back(std::move(member));
    else
      add_answers(member.table, answers);
  }
  if (questions.empty()) fail(Code::bad_input, rows.files.front(), "a file of questions too, given beside this one", "none");
  std::vector<TextExample> examples;
  for (const JsonMember& member : questions) add_questions(rows, member, answers, examples);
  return examples;
}

// An image with its captions: one example for each to train on, else one of all.
void add_captions(const ImageRows& rows, const TextExample& image, const std::vector<std::string>& captions,
                  std::vector<TextExample>& examples) {
  const size_t count = rows.split == SplitName::train && rows.labelled ? captions.size() : 1;
  for (size_t i = 0; i < count; ++i) {
    TextExample& example = examples.emplace_back(image);
    example.index = static_cast<int64_t>(examples.size()) - 1;
    if (captions.empty()) continue;
    example.target = std::string(strip(captions[i]));
    example.answers = captions;
  }
}

TextExample caption_example(const ImageRows& rows, std::string image) {
  TextExample example{0, str(rows.prefix, rows.task.source), ""};
  example.image = std::move(image);
  return example;
}

// Whether an image of Karpathy's file belongs to the split.
bool is_of_split(SplitName split, const std::string& name) {
  if (split == SplitName::train) return name == "train" || name == "restval";
  return name == (split == SplitName::validation ? "val" : "test");
}

void add_karpathy(const ImageRows& rows, const Table& images, std::vector<TextExample>& examples) {
  const RowNames names(images.path, "cocoid", "image", "sentences");
  for (size_t row = 0; row < images.rows.size(); ++row) {
    if (!is_of_split(rows.split, cell_of(images, row, "split"))) continue;
    TextExample example = caption_example(rows, str(cell_of(images, row, "filepath"), "/", cell_of(images, row, "filename")));
    names.mark(example, cell_of(images, row, "cocoid"));
    add_captions(rows, example, texts_in(images, row, "sentences", "raw"), examples);
  }
}

void add_coco(const ImageRows& rows, const Table& images, std::vector<TextExample>& examples) {
  const RowNames names(images.path, "image id", "image", "caption");
  std::unordered_map<std::string, std::vector<std::string>> captions;
  const JsonMember annotations = read_json_member(images.path, {"annotations"});
  const Table& table = annotations.table;
  for (size_t row = 0; row < table.rows.size(); ++row)
    captions[cell_of(table, row, "image_id")].push_back(cell_of(table, row, "caption"));
  for (size_t row = 0; row < images.rows.size(); ++row) {
    const std::string& id = cell_of(images, row, "id");
    TextExample example = caption_example(rows, in_its_folder(cell_of(images, row, "file_name")));
    names.mark(example, id);
    if (rows.labelled && captions[id].empty()) fail(Code::bad_input, names.where(id), "a caption of this image", "none");
    add_captions(rows, example, captions[id], examples);
  }
}

std::vector<TextExample> read_captions(const ImageRows& rows) {
  std::vector<TextExample> examples;
  for (const std::string& file : rows.files) {
    const JsonMember images = read_json_member(file, {"images"});
    if (images.key.empty()) fail(Code::bad_input, file, "\"images\" of COCO's captions, a list of objects", "none");
    if (images.table.has("sentences"))
      add_karpathy(rows, images.table, examples);
    else
      add_coco(rows, images.table, examples);
  }
  if (examples.empty())
    fail(Code::bad_input, rows.files.front(), str("an image of the ", to_string(rows.split), " split"), "none");
  return examples;
}

}  // namespace

void check_image_rows(const ImageRows& rows) {
  for (const std::string& file : rows.files) require_readable_file(file, str(to_string(rows.split), "_file"));
}

std::vector<TextExample> read_image_rows(const ImageRows& rows) {
  return rows.task.form == RowForm::vqa ? read_vqa(rows) : read_captions(rows);
}

}  // namespace dept
