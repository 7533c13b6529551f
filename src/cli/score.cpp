// dept score: the likelihood of given text, JSON lines in and out.
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <numeric>

#include "cli/command.h"
#include "cli/frame.h"
#include "cli/loaded_model.h"
#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/kernels/cross_entropy.h"
#include "dept/models/generation.h"

namespace dept {
namespace {

constexpr int64_t ignored = -100;
constexpr int64_t head_tokens = 256;  // logits of so many tokens stand in memory at once

constexpr Usage usage{
    "Usage: dept score --model_name_or_path DIR [--peft_model_id DIR] [--flags] < LINES\n"
    "How likely the model finds given text: JSON lines in ({\"source\": .., \"target\": ..}, {\"text\": ..} or {\"input_ids\": "
    "[..],\n"
    "\"labels\": [..]}), JSON lines out.\n",
    false, 0,
    "  echo '{\"source\": \"The capital of France is\", \"target\": \" Paris\"}' | dept score --model_name_or_path MODEL\n"
    "  dept score --model_name_or_path MODEL --peft_model_id runs/mine --input pairs.jsonl --output losses.jsonl\n"};

struct ScoreOptions {
  ModelOptions model;
  std::string input, output;
  std::optional<int64_t> batch_size;
  bool raw = false, truncate = false;
};

void describe(ScoreOptions& o, OptionSet& set) {
  describe(o.model, set);
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

/// Encoder-decoder: the encoder's input and the decoder's labels. Decoder-only: labels as long as the input.
struct Line {
  Ids input, labels;
};

Line labelled_ids(const LoadedModel& model, const Json& line, const std::string& where) {
  Line out{require_ids(model, line, "input_ids", where), require_ids(model, line, "labels", where, true)};
  if (!model.encoder_decoder() && out.labels.size() != out.input.size()) {
    fail(Code::bad_input, str(where, ": labels"), str(out.input.size(), " labels, as many as input_ids"), str(out.labels.size()));
  }
  if (out.labels.empty()) fail(Code::bad_input, str(where, ": labels"), "at least one", "none");
  return out;
}

/// nll of labels[i] from hidden[i], a stretch of tokens at a time.
std::vector<double> label_nll(const LoadedModel& model, const at::Tensor& hidden, const Ids& tokens, const Ids& labels) {
  std::vector<double> out;
  for (size_t begin = 0; begin < labels.size(); begin += head_tokens) {
    const size_t end = std::min(labels.size(), begin + head_tokens);
    const at::Tensor at = at::tensor(at::ArrayRef(tokens).slice(begin, end - begin), at::kLong);
    const at::Tensor logits = model.backbone().logits(hidden.index_select(0, at));
    const at::Tensor label = at::tensor(at::ArrayRef(labels).slice(begin, end - begin), at::kLong);
    const at::Tensor nll = kernels::cross_entropy(logits, label, nullptr, 0, model.backbone().context().kernels).to(at::kDouble);
    out.insert(out.end(), nll.data_ptr<double>(), nll.data_ptr<double>() + nll.numel());
  }
  return out;
}

class Scorer {
 public:
  Scorer(const ScoreOptions& options, const LoadedModel& model)
      : model_(model), task_(options.raw ? AdapterTask() : model.task()), texts_(model, options.truncate), batch_(model) {}

  /// Returns the tokens that the line brings.
  int64_t add(const Json& json, const std::string& where) {
    Line line = read_line(json, where);
    const auto first_counted = std::find_if(line.labels.begin(), line.labels.end(), [](int64_t id) { return id != ignored; });
    const int64_t sources =
        model_.encoder_decoder() ? static_cast<int64_t>(line.input.size()) : first_counted - line.labels.begin();
    batch_.add(line.input, sources, 0, where);
    const size_t written = model_.encoder_decoder() ? line.labels.size() : 0;
    return static_cast<int64_t>(lines_.emplace_back(std::move(line)).input.size() + written);
  }

  void run(LineWriter& writer) {
    const AdaptedText source = batch_.adapted();
    counts_.clear();
    tokens_.clear();
    labels_.clear();
    const at::Tensor hidden = model_.encoder_decoder() ? decode(source) : decoder_only(source);
    const std::vector<double> nll = label_nll(model_, hidden, tokens_, labels_);
    auto at = nll.begin();
    for (const int64_t count : counts_) {
      OrderedJson line;
      line["loss"] = count > 0 ? OrderedJson(std::accumulate(at, at + count, 0.0) / static_cast<double>(count)) : OrderedJson();
      line["nll"] = std::vector<double>(at, at + count);
      line["tokens"] = count;
      writer.write(line);
      at += count;
    }
    batch_.clear();
    lines_.clear();
  }

  void report() const { texts_.report(); }

 private:
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
    return {ids, ids};
  }

  Line source_and_target(const Json& line, const std::string& where) {
    const auto source = require<std::string>(line, "source", where);
    const Ids target = texts_.target(require<std::string>(line, "target", where), where);
    Line out{texts_.source(task_, source, model_.encoder_decoder() ? 0 : static_cast<int64_t>(target.size()), where), target};
    if (model_.encoder_decoder()) return out;
    out.labels.insert(out.labels.begin(), out.input.size(), ignored);
    out.input.insert(out.input.end(), target.begin(), target.end());
    return out;
  }

  /// Notes every counted label of a line; label i is predicted by token first + i of the texts. A first token of -1 is the
  /// prompt's last, where there is one.
  void count(const Line& line, int64_t first, const PromptLayout& layout, int64_t own) {
    const int64_t* text = layout.text.const_data_ptr<int64_t>();
    const size_t before = labels_.size();
    for (size_t i = 0; i < line.labels.size(); ++i) {
      const int64_t token = first + static_cast<int64_t>(i);
      const int64_t predicting = token < own ? layout.prompt - 1 : text[token];
      if (line.labels[i] == ignored || predicting < 0) continue;
      tokens_.push_back(predicting);
      labels_.push_back(line.labels[i]);
    }
    counts_.push_back(static_cast<int64_t>(labels_.size() - before));
  }

  at::Tensor decode(const AdaptedText& source) {
    const ModelInfo& info = model_.backbone().info();
    if (!info.decoder_start_id) fail(Code::bad_input, "config.json", "decoder_start_token_id", "none");
    Ragged tokens;
    Ids ids, positions;
    for (const Line& line : lines_) {
      const int64_t length = static_cast<int64_t>(line.labels.size());
      tokens.append(length, tokens.batch());
      for (int64_t i = 0; i < length; ++i) {
        const int64_t before = i == 0 ? *info.decoder_start_id : line.labels[i - 1];
        ids.push_back(before == ignored ? info.pad_id.value_or(*info.decoder_start_id) : before);
        positions.push_back(i);
      }
    }
    tokens.position = at::tensor(positions, at::kLong);
    const at::Tensor embeds = model_.backbone().embed(at::tensor(ids, at::kLong));
    const AdaptedText target = model_.adapter().apply_to_target({tokens, embeds});
    for (size_t b = 0; b < lines_.size(); ++b) count(lines_[b], tokens.offsets[b], target.layout, 0);
    return model_.backbone().forward({}, source.stream, &target.stream, nullptr);
  }

  /// Token i predicts label i + 1; the first label is the prompt's to predict.
  at::Tensor decoder_only(const AdaptedText& source) {
    const std::vector<int64_t>& offsets = batch_.tokens().offsets;
    for (size_t b = 0; b < lines_.size(); ++b) count(lines_[b], offsets[b] - 1, source.layout, offsets[b]);
    return model_.backbone().forward({}, source.stream, nullptr, nullptr);
  }

  const LoadedModel& model_;
  AdapterTask task_;
  Texts texts_;
  InputBatch batch_;
  std::vector<Line> lines_;
  Ids tokens_, labels_;          // of the batch: what predicts, and what
  std::vector<int64_t> counts_;  // by line
};

}  // namespace

int run_score(const std::vector<std::string>& arguments) {
  ScoreOptions options;
  OptionSet set;
  describe(options, set);
  if (!read_command_line(set, arguments, usage)) return 0;
  LineReader reader(options.input);
  LineWriter writer(options.output);
  const LoadedModel model = load_model(options.model, set);
  Scorer scorer(options, model);
  for_each_line(
      reader, options.batch_size, [&](const Json& line, const std::string& where) { return scorer.add(line, where); },
      [&] { scorer.run(writer); });
  writer.commit();
  scorer.report();
  return 0;
}

}  // namespace dept
