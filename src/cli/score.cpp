// dept score: the likelihood of given text, JSON lines in and out.
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <numeric>

#include "cli/command.h"
#include "cli/frame.h"
#include "cli/loaded_model.h"
#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/models/generation.h"

namespace dept {
namespace {

constexpr int64_t ignored = -100;

constexpr Usage score_usage{
    "Usage: dept score --model_name_or_path DIR [--peft_model_id DIR] [--flags] < LINES\n"
    "How likely the model finds given text: JSON lines in ({\"source\": .., \"target\": ..}, {\"text\": ..} or {\"input_ids\": "
    "[..],\n"
    "\"labels\": [..]}, for an adapter that sees images each with its image), JSON lines out.\n",
    false, 0,
    "  echo '{\"source\": \"The capital of France is\", \"target\": \" Paris\"}' | dept score --model_name_or_path MODEL\n"
    "  dept score --model_name_or_path MODEL --peft_model_id runs/mine --input pairs.jsonl --output losses.jsonl\n"};

struct ScoreOptions {
  ModelOptions model;
  std::string input, output;
  std::optional<int64_t> batch_size;
  bool raw = false, truncate = false;
  RankOptions ranks;
};

void describe(ScoreOptions& o, OptionSet& set) {
  describe(o.model, set);
  describe(o.model.images, set);
  describe(o.ranks, set);
  set.section("Input and output");
  set.add("input", o.input, "file of JSON lines (default: standard input)");
  set.add("output", o.output, "file of JSON lines (default: standard output)");
  set.add("raw", o.raw, "take each source as it is, without the adapter's source_template and causal_suffix");
  set.add("truncate", o.truncate, "cut a source or text that is too long for the model's positions or the adapter's rows");
  set.add("batch_size", o.batch_size,
          str("lines that run together [as many as make ", full_batch_tokens, " tokens, read and written]"))
      .min(1)
      .max(1 << 16);
}

/// A text and what is scored of it. Encoder-decoder: the encoder's input and the decoder's labels. Decoder-only: the tokens in
/// front of the first counted label, and those from it on with their labels.
struct Line {
  Ids source, target, labels;
};

Line labelled_ids(const LoadedModel& model, const Json& line, const std::string& where) {
  Ids input = require_ids(model, line, "input_ids", where), labels = require_ids(model, line, "labels", where, true);
  if (!model.encoder_decoder() && labels.size() != input.size())
    fail(Code::bad_input, str(where, ": labels"), str(input.size(), " labels, as many as input_ids"), str(labels.size()));
  if (labels.empty()) fail(Code::bad_input, str(where, ": labels"), "at least one", "none");
  if (model.encoder_decoder()) return {std::move(input), labels, labels};
  const auto first = std::find_if(labels.begin(), labels.end(), [](int64_t id) { return id != ignored; }) - labels.begin();
  return {{input.begin(), input.begin() + first}, {input.begin() + first, input.end()}, {labels.begin() + first, labels.end()}};
}

class Scorer {
 public:
  Scorer(const ScoreOptions& options, const LoadedModel& model)
      : model_(model), task_(options.raw ? AdapterTask() : model.task()), texts_(model, options.truncate), batch_(model) {}

  /// Returns the tokens that the line brings.
  int64_t add(const Json& json, const std::string& where) {
    Line line = read_line(json, where);
    if (model_.encoder_decoder()) hide_ignored(line.target);
    const auto tokens = static_cast<int64_t>(line.source.size() + line.target.size());
    batch_.add(std::move(line.source), std::move(line.target), 0, where, image_of(model_, json, where));
    labels_.push_back(std::move(line.labels));
    return tokens_of_lines_.emplace_back(tokens);
  }

  /// Scores the lines that were added, this rank its share of them.
  void run(LineWriter& writer) {
    const ItemRange mine = share_in_order(tokens_of_lines_, model_.group);
    if (mine.size() < labels_.size()) {
      batch_.keep(mine);
      labels_ = {labels_.begin() + static_cast<ptrdiff_t>(mine.begin), labels_.begin() + static_cast<ptrdiff_t>(mine.end)};
    }
    write_together(writer, labels_.empty() ? std::vector<std::string>() : scored(), model_.group);
    batch_.clear();
    labels_.clear();
    tokens_of_lines_.clear();
  }

  void report() const {
    if (is_first(model_.group)) texts_.report();
  }

 private:
  std::vector<std::string> scored() const {
    Batch batch = batch_.collated();
    const std::vector<int64_t> counts = keep_counted(batch);
    const at::Tensor nll = model_.model.token_nll(batch);
    const double* at = nll.const_data_ptr<double>();
    std::vector<std::string> lines;
    for (const int64_t count : counts) {
      OrderedJson line;
      line["loss"] = count > 0 ? OrderedJson(std::accumulate(at, at + count, 0.0) / static_cast<double>(count)) : OrderedJson();
      line["nll"] = std::vector<double>(at, at + count);
      line["tokens"] = count;
      lines.push_back(LineWriter::text_of(line));
      at += count;
    }
    return lines;
  }

  Line read_line(const Json& line, const std::string& where) {
    const auto has = [&](const char* key) { return line.is_object() && line.contains(key); };
    if (has("input_ids") + has("text") + has("source") != 1)
      fail(Code::bad_input, where, "an object with source and target, input_ids and labels, or text", quote(line.dump()));
    if (has("input_ids")) return labelled_ids(model_, line, where);
    return has("text") ? whole_text(require<std::string>(line, "text", where), where) : source_and_target(line, where);
  }

  Line whole_text(const std::string& text, const std::string& where) {
    if (model_.encoder_decoder()) fail(Code::bad_input, where, "source and target, as the model is an encoder-decoder", "text");
    const Ids ids = texts_.whole(text, where);
    return {{}, ids, ids};
  }

  Line source_and_target(const Json& line, const std::string& where) {
    const auto source = require<std::string>(line, "source", where);
    const Ids target = texts_.target(require<std::string>(line, "target", where), where);
    const int64_t behind = model_.encoder_decoder() ? 0 : static_cast<int64_t>(target.size());
    return {texts_.source(task_, source, behind, where), target, target};
  }

  /// What the decoder reads in the place of a label that does not count.
  void hide_ignored(Ids& target) const {
    const ModelInfo& info = model_.backbone().info();
    if (!info.decoder_start_id) fail(Code::bad_input, "config.json", "decoder_start_token_id", "none");
    std::replace(target.begin(), target.end(), ignored, info.pad_id.value_or(*info.decoder_start_id));
  }

  /// Gives the batch the lines' own labels, without those that do not count and those that nothing stands in front of. Returns
  /// how many each line has.
  std::vector<int64_t> keep_counted(Batch& batch) const {
    const bool has_prompt = model_.adapter().prompt_tokens() > 0;
    const at::Tensor token = batch.label_token;
    Ids kept, labels, sequences;
    std::vector<int64_t> counts;
    int64_t n = 0;
    for (const Ids& line : labels_) {
      const size_t before = kept.size();
      for (const int64_t label : line) {
        const bool predicted = token.const_data_ptr<int64_t>()[n] >= 0 || has_prompt;
        if (label != ignored && predicted) {
          kept.push_back(n);
          labels.push_back(label);
          sequences.push_back(batch.label_sequence[static_cast<size_t>(n)]);
        }
        ++n;
      }
      counts.push_back(static_cast<int64_t>(kept.size() - before));
    }
    batch.label_token = token.index_select(0, at::tensor(kept, at::kLong));
    batch.labels = at::tensor(labels, at::kLong);
    batch.label_sequence = std::move(sequences);
    return counts;
  }

  const LoadedModel& model_;
  AdapterTask task_;
  Texts texts_;
  InputBatch batch_;
  std::vector<Ids> labels_;  // of each line
  std::vector<int64_t> tokens_of_lines_;
};

int score_lines(ScoreOptions& options, const OptionSet& set, RankGroup* group) {
  LineReader reader(options.input, read_together(group));
  LineWriter writer(options.output, is_first(group));
  const LoadedModel model = load_model(options.model, set, group);
  Scorer scorer(options, model);
  for_each_line(
      reader, options.batch_size, group, [&](const Json& line, const std::string& where) { return scorer.add(line, where); },
      [&] { scorer.run(writer); });
  writer.commit();
  scorer.report();
  return 0;
}

}  // namespace

int run_score(const std::vector<std::string>& arguments) {
  ScoreOptions options;
  OptionSet set;
  describe(options, set);
  if (!read_command_line(set, arguments, score_usage)) return 0;
  return run_in_ranks(options.ranks, options.model, "score", arguments,
                      [&](RankGroup* group) { return score_lines(options, set, group); });
}

}  // namespace dept
