// dept generate: free continuations, JSON lines in and out.

#include "cli/command.h"
#include "cli/frame.h"
#include "cli/loaded_model.h"
#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/models/generation.h"

namespace dept {
namespace {

struct GenerateOptions {
  ModelOptions model;
  GenerationOptions generation;
  std::vector<std::string> eos_token_id;
  std::optional<std::string> stop;
  std::string input, output;
  int64_t batch_size = 8;
};

void describe(GenerateOptions& o, OptionSet& set) {
  describe(o.model, set);
  set.section("Generation");
  set.add("max_new_tokens", o.generation.max_new_tokens, "longest answer").min(0).max(1 << 20);
  set.add("min_new_tokens", o.generation.min_new_tokens, "no end before so many tokens").min(0);
  set.add("repetition_penalty", o.generation.repetition_penalty, "above 1: tokens that were there become less likely").min(1e-6);
  set.add("no_repeat_ngram_size", o.generation.no_repeat_ngram_size, "no sequence of so many tokens twice; 0: off").min(0);
  set.add("eos_token_id", o.eos_token_id, "ids that end an answer, by commas (default: the model's)");
  set.add("stop", o.stop, "a text that ends an answer and is cut from it");
  set.section("Input and output");
  set.add("input", o.input, "file of JSON lines (default: standard input)");
  set.add("output", o.output, "file of JSON lines (default: standard output)");
  set.add("batch_size", o.batch_size, "lines that run together").min(1).max(1 << 16);
}

/// The ids that end an answer: those given, else the model's, else the tokenizer's.
Ids eos_ids(const GenerateOptions& options, const LoadedModel& model) {
  Ids ids;
  for (const std::string& text : options.eos_token_id) {
    const Json parsed = Json::parse(text, nullptr, false);
    if (!parsed.is_number_integer()) fail(Code::usage, "--eos_token_id", "ids by commas", quote(text));
    ids.push_back(parsed.get<int64_t>());
  }
  if (!ids.empty()) return ids;
  ids = model.backbone->info().eos_ids;
  if (ids.empty() && model.tokenizer && model.tokenizer->eos_id) ids = {*model.tokenizer->eos_id};
  return ids;
}

/// {"prompt": text}, {"input_ids": [..]} or a text.
Ids input_ids(const LoadedModel& model, const Json& line, const std::string& where) {
  if (line.is_string()) return encode_text(model, line.get<std::string>(), true, where);
  if (!line.is_object() || line.contains("prompt") == line.contains("input_ids")) {
    fail(Code::bad_input, where, "a string or an object with prompt or input_ids", quote(line.dump()));
  }
  if (line.contains("input_ids")) return require_ids(model, line, "input_ids", where);
  return encode_text(model, require<std::string>(line, "prompt", where), true, where);
}

class Generator {
 public:
  Generator(const GenerateOptions& options, const LoadedModel& model) : options_(options), model_(model), batch_(model) {
    options_.generation.eos_ids = eos_ids(options, model);
    if (options.stop && (options.stop->empty() || !model.tokenizer)) {
      fail(Code::usage, "--stop", "a text, and a model with a tokenizer", quote(*options.stop));
    }
  }

  void add(const Json& line, const std::string& where) {
    const Ids ids = input_ids(model_, line, where);
    batch_.add(ids, static_cast<int64_t>(ids.size()), where);
    counted_.push_back(model_.encoder_decoder() ? Ids() : ids);
  }

  void run(LineWriter& writer) {
    std::vector<Ids> said(counted_.size());
    const auto reached_stop = [&](size_t row, int64_t id) {
      said[row].push_back(id);
      return model_.tokenizer->decode(said[row]).find(*options_.stop) != std::string::npos;
    };
    const auto answers = generate_greedy(model_.ctx, *model_.backbone, batch_.stream(), options_.generation, counted_,
                                         options_.stop ? TokenSink(reached_stop) : TokenSink());
    for (const Generated& answer : answers) {
      OrderedJson line;
      line["text"] = model_.tokenizer ? OrderedJson(text(answer.ids)) : OrderedJson();
      line["ids"] = answer.ids;
      line["finish_reason"] = finish_name(answer.finish);
      writer.write(line);
    }
    batch_.clear();
    counted_.clear();
  }

 private:
  std::string text(const Ids& ids) const {
    const std::string whole = model_.tokenizer->decode(ids);
    return options_.stop ? whole.substr(0, whole.find(*options_.stop)) : whole;
  }

  GenerateOptions options_;
  const LoadedModel& model_;
  InputBatch batch_;
  std::vector<Ids> counted_;
};

}  // namespace

int run_generate(const std::vector<std::string>& arguments) {
  GenerateOptions options;
  OptionSet set;
  describe(options, set);
  if (!read_command_line(set, arguments,
                         {"Usage: dept generate --model_name_or_path DIR [--peft_model_id DIR] [--flags] < LINES\nContinues "
                          "text: JSON lines in, JSON lines out.\n"}))
    return 0;
  LineReader reader(options.input);
  LineWriter writer(options.output);
  const LoadedModel model = load_model(options.model);
  Generator generator(options, model);
  for_each_line(
      reader, options.batch_size, [&](const Json& line, const std::string& where) { generator.add(line, where); },
      [&] { generator.run(writer); });
  writer.commit();
  return 0;
}

}  // namespace dept
