// dept generate: free continuations, JSON lines in and out; the text as it comes when one prompt is answered on a terminal.

#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "cli/command.h"
#include "cli/frame.h"
#include "cli/loaded_model.h"
#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/text.h"
#include "dept/models/generation.h"
#include "dept/text/chat.h"
#include "dept/text/text_stream.h"
#include "dept/train/evaluate.h"
#include "dept/train/setup.h"

namespace dept {
namespace {

constexpr Usage generate_usage{
    "Usage: dept generate --model_name_or_path DIR [--peft_model_id DIR] [--flags] < LINES\n"
    "Continues text: JSON lines in (\"text\", {\"prompt\": ..}, {\"messages\": [..]} or {\"input_ids\": [..]}), JSON lines out; "
    "one prompt's "
    "answer is "
    "shown\n"
    "on a terminal as it comes. For an adapter that sees images each line is an object with its image.\n",
    false, 0,
    "  echo '\"The capital of France is\"' | dept generate --model_name_or_path MODEL --max_new_tokens 8\n"
    "  dept generate --model_name_or_path MODEL --input prompts.jsonl --num_beams 4 --num_return_sequences 2\n"
    "  dept generate --model_name_or_path MODEL --input prompts.jsonl --do_sample --temperature 0.7 --seed 1\n"};

/// What is given takes the place of the model's own defaults.
struct GenerateOptions {
  ModelOptions model;
  AskedGeneration asked;
  std::optional<std::string> early_stopping;
  int64_t seed = 42;
  std::vector<std::string> eos_token_id;
  std::optional<std::string> stop;
  std::string input, output;
  std::optional<int64_t> batch_size;
  bool truncate = false;
  RankOptions ranks;
};

void describe(GenerateOptions& o, OptionSet& set) {
  describe(o.model, set);
  describe(o.model.images, set);
  set.section("Generation (defaults: the model's generation_config.json, then transformers')");
  set.add("max_new_tokens", o.asked.max_new_tokens, "longest answer [20]").min(0).max(1 << 20);
  set.add("min_new_tokens", o.asked.min_new_tokens, "no end before so many tokens [0]").min(0);
  set.add("num_beams", o.asked.num_beams, "beams of the search; 1: none [1]").min(1).max(1 << 10);
  set.add("length_penalty", o.asked.length_penalty,
          "beams are ranked by log p / length^penalty; above 0 favours long answers [1]");
  set.add("early_stopping", o.early_stopping, "end a beam search as soon as num_beams answers are there [false]")
      .choices({"true", "false", "never"});
  set.add("num_return_sequences", o.asked.num_return_sequences, "answers to each prompt: beams or samples [1]")
      .min(1)
      .max(1 << 16);
  set.add("do_sample", o.asked.do_sample, "draw each token [false: the likeliest]");
  set.add("temperature", o.asked.temperature, "of the draw; below 1 sharpens [1]").min(1e-6);
  set.add("top_k", o.asked.top_k, "draw from the k likeliest; 0: from all [50]").min(0);
  set.add("top_p", o.asked.top_p, "draw from the likeliest that together have this probability [1]").min(0).max(1);
  set.add("seed", o.seed, "of the draws").min(0);
  set.add("repetition_penalty", o.asked.repetition_penalty, "above 1: tokens that were there become less likely [1]").min(1e-6);
  set.add("no_repeat_ngram_size", o.asked.no_repeat_ngram_size, "no sequence of so many tokens twice; 0: off [0]").min(0);
  set.add("eos_token_id", o.eos_token_id, "ids that end an answer, by commas [the model's]");
  set.add("stop", o.stop, "a text that ends an answer and is cut from it, or several as a JSON list");
  describe(o.ranks, set);
  set.section("Input and output");
  set.add("input", o.input, "file of JSON lines (default: standard input)");
  set.add("output", o.output, "file of JSON lines (default: standard output)");
  set.add("truncate", o.truncate, "cut a text that is too long for the model's positions or the adapter's rows");
  set.add("batch_size", o.batch_size,
          str("lines that run together [as many as make ", full_batch_tokens, " tokens, read and written]"))
      .min(1)
      .max(1 << 16);
}

// What only a draw, or only a search, looks at.
void warn_of_idle_options(const GenerationOptions& o, const OptionSet& set) {
  for (const char* name : {"temperature", "top_k", "top_p", "seed"})
    if (!o.do_sample) set.warn_idle(name, "without --do_sample the likeliest token is taken");
  for (const char* name : {"length_penalty", "early_stopping"})
    if (o.num_beams == 1) set.warn_idle(name, "--num_beams is 1");
}

Ids given_eos_ids(const GenerateOptions& options) {
  Ids ids;
  for (const std::string& text : options.eos_token_id) {
    const Json parsed = Json::parse(text, nullptr, false);
    if (!parsed.is_number_integer()) fail(Code::usage, "--eos_token_id", "ids by commas", quote(text));
    ids.push_back(parsed.get<int64_t>());
  }
  return ids;
}

GenerationOptions resolved(const GenerateOptions& given, const LoadedModel& model) {
  AskedGeneration asked = given.asked;
  if (given.early_stopping)
    asked.early_stopping = *given.early_stopping == "never"  ? EarlyStopping::never
                           : *given.early_stopping == "true" ? EarlyStopping::yes
                                                             : EarlyStopping::no;
  asked.eos_ids = given_eos_ids(given);
  const ModelInfo& info = model.backbone().info();
  GenerationOptions o = generation_options(model.path(), info, asked);
  o.seed = static_cast<uint64_t>(given.seed);
  // A model that names no end token at all has its tokenizer's.
  if (info.eos_ids.empty() && o.eos_ids.empty() && model.tokenizer() && model.tokenizer()->eos_id)
    o.eos_ids = {*model.tokenizer()->eos_id};
  return o;
}

std::vector<std::string> stop_texts(const GenerateOptions& options, const LoadedModel& model) {
  if (!options.stop) return {};
  const Json list = Json::parse(*options.stop, nullptr, false);
  const bool several = list.is_array() && std::all_of(list.begin(), list.end(), [](const Json& x) { return x.is_string(); });
  const auto stops = several ? list.get<std::vector<std::string>>() : std::vector<std::string>{*options.stop};
  for (const std::string& stop : stops)
    if (stop.empty()) fail(Code::usage, "--stop", "a text of at least one character, or a list of them", quote(*options.stop));
  if (!model.tokenizer()) fail(Code::usage, "--stop", "a model with a tokenizer", "one without");
  return stops;
}

class Generator {
 public:
  Generator(const GenerateOptions& given, const GenerationOptions& options, const LoadedModel& model)
      : options_(options),
        least_(given.asked.max_new_tokens.value_or(std::min<int64_t>(options_.max_new_tokens, 1))),
        stops_(stop_texts(given, model)),
        model_(model),
        texts_(model, given.truncate),
        batch_(model) {}

  /// Returns the tokens that the line brings, with those that its answers may have.
  int64_t add(const Json& line, const std::string& where) {
    const Ids ids = input_ids(line, where);
    batch_.add(ids, {}, least_, where, image_of(model_, line, where));
    counted_.push_back(model_.encoder_decoder() ? Ids() : ids);
    return tokens_of_lines_.emplace_back(static_cast<int64_t>(ids.size()) + written_tokens(options_));
  }

  /// Answers the lines that were added, this rank its share of them.
  void run(LineWriter& writer) {
    keep_share();
    const auto ends = [&](size_t, std::span<const int64_t> ids) {
      return find_stop(model_.tokenizer()->decode_written(ids), stops_) != std::string::npos;
    };
    std::vector<std::string> lines;
    for (const auto& choices : answers(stops_.empty() ? TokenSink() : TokenSink(ends))) {
      OrderedJson line = OrderedJson::array();
      for (const Generated& choice : choices) line.push_back(choice_json(choice));
      lines.push_back(LineWriter::text_of(choices.size() == 1 ? line[0] : OrderedJson{{"choices", line}}));
    }
    write_together(writer, lines, model_.group);
  }

  void report() const {
    size_t answers = 0, tokens = 0;
    for (const std::string& each : gather(model_.group, str(answers_, " ", tokens_))) {
      answers += std::stoull(each);
      tokens += std::stoull(each.substr(each.find(' ')));
    }
    if (is_first(model_.group)) texts_.report();
    log::info(str("[generate] answers ", answers, ", tokens ", tokens, ", seconds ", seconds_));
  }

  /// Whether an answer may be shown as it comes: one prompt, one answer, text, and no search that changes its mind.
  bool streams() const {
    return counted_.size() == 1 && model_.tokenizer() && options_.num_return_sequences == 1 && options_.num_beams == 1;
  }

  /// The text of the one answer on standard output, as its tokens come, and a line's end.
  void stream() {
    TextStream text(*model_.tokenizer(), stops_);
    answers([&](size_t, std::span<const int64_t> ids) {
      write_stdout(text.add(ids.back()));
      return text.stopped();
    });
    write_stdout(text.finish() + "\n");
  }

 private:
  /// {"prompt": text}, {"messages": [..]}, {"input_ids": [..]} or a text.
  Ids input_ids(const Json& line, const std::string& where) {
    if (line.is_string()) return texts_.source({}, line.get<std::string>(), least_, where);
    if (!line.is_object() || line.contains("prompt") + line.contains("input_ids") + line.contains("messages") != 1)
      fail(Code::bad_input, where, "a string or an object with prompt, messages or input_ids", quote(line.dump()));
    if (line.contains("input_ids")) return require_ids(model_, line, "input_ids", where);
    if (line.contains("messages")) return chat_ids(line["messages"], where + ": messages");
    return texts_.source({}, require<std::string>(line, "prompt", where), least_, where);
  }

  // In the model's chat form, whose mark ends an answer from then on.
  Ids chat_ids(const Json& messages, const std::string& where) {
    if (!model_.tokenizer()) fail(Code::bad_input, where, "ids, as the model has no tokenizer.json", "messages");
    if (!chat_) {
      chat_ = load_model_chat_form(model_.options, *model_.tokenizer(), model_.backbone().info().architecture);
      end_at_turn(options_, *model_.tokenizer(), *chat_);
    }
    const Ids ids = chat_prompt(*model_.tokenizer(), *chat_, read_messages(messages, where), where);
    check_ids(*model_.tokenizer(), ids, model_.backbone().info().vocab, where);
    return ids;
  }

  void keep_share() {
    const ItemRange mine = share_in_order(tokens_of_lines_, model_.group);
    tokens_of_lines_.clear();
    if (mine.size() == counted_.size()) return;
    batch_.keep(mine);
    counted_ = std::vector<Ids>(counted_.begin() + static_cast<ptrdiff_t>(mine.begin),
                                counted_.begin() + static_cast<ptrdiff_t>(mine.end));
  }

  std::vector<std::vector<Generated>> answers(const TokenSink& sink) {
    if (counted_.empty()) return {};
    const auto begin = std::chrono::steady_clock::now();
    const at::Tensor decoder_prompt = model_.adapter().decoder_prompt().to(model_.backbone().context().residual());
    const auto made = generate(model_.backbone(), {batch_.adapted(batch_.collated()).stream, std::move(counted_), decoder_prompt},
                               options_, sink);
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    for (const auto& choices : made) {
      for (const Generated& choice : choices) tokens_ += choice.ids.size();
      answers_ += choices.size();
    }
    batch_.clear();
    counted_.clear();
    return made;
  }

  OrderedJson choice_json(const Generated& choice) const {
    OrderedJson line;
    line["text"] = model_.tokenizer() ? OrderedJson(text(choice.ids)) : OrderedJson();
    line["ids"] = choice.ids;
    line["finish_reason"] = finish_name(choice.finish);
    return line;
  }

  std::string text(const Ids& ids) const {
    const std::string whole = model_.tokenizer()->decode_written(ids);
    return whole.substr(0, find_stop(whole, stops_));
  }

  GenerationOptions options_;
  std::shared_ptr<const ChatForm> chat_;  // of lines with messages
  int64_t least_;                         // new tokens for which there must be room
  std::vector<std::string> stops_;
  const LoadedModel& model_;
  Texts texts_;
  InputBatch batch_;
  std::vector<Ids> counted_;
  std::vector<int64_t> tokens_of_lines_;
  size_t answers_ = 0, tokens_ = 0;
  double seconds_ = 0;
};

int generate_lines(GenerateOptions& options, const OptionSet& set, RankGroup* group) {
  LineReader reader(options.input, read_together(group));
  LineWriter writer(options.output, is_first(group));
  const LoadedModel model = load_model(options.model, set, group);
  const GenerationOptions generation = resolved(options, model);
  warn_of_idle_options(generation, set);
  Generator generator(options, generation, model);
  const bool terminal = group == nullptr && options.output.empty() && ::isatty(STDOUT_FILENO) == 1;
  bool first = true;
  for_each_line(
      reader, options.batch_size, group, [&](const Json& line, const std::string& where) { return generator.add(line, where); },
      [&] {
        if (terminal && (first || options.batch_size == 1) && generator.streams()) {
          generator.stream();
        } else {
          generator.run(writer);
        }
        first = false;
      });
  writer.commit();
  generator.report();
  return 0;
}

}  // namespace

int run_generate(const std::vector<std::string>& arguments) {
  GenerateOptions options;
  OptionSet set;
  describe(options, set);
  if (!read_command_line(set, arguments, generate_usage)) return 0;
  return run_in_ranks(options.ranks, options.model, "generate", arguments,
                      [&](RankGroup* group) { return generate_lines(options, set, group); });
}

}  // namespace dept
