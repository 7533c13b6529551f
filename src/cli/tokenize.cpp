// dept tokenize: text to ids, and ids to text.
#include "cli/command.h"
#include "cli/frame.h"
#include "cli/lines.h"
#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/text/tokenizer.h"
#include "dept/train/model_source.h"
#include "dept/train/setup.h"

namespace dept {
namespace {

constexpr Usage tokenize_usage{
    "Usage: dept tokenize --model_name_or_path PATH [--flags]\n"
    "Text to ids and back, one JSON value a line: \"text\" or [\"text\", \"pair\"] in, [ids] out; with --decode [ids] in, "
    "\"text\" out.\n",
    false, 0,
    "  echo '\"Hello there, world\"' | dept tokenize --model_name_or_path MODEL\n"
    "  dept tokenize --model_name_or_path MODEL --input texts.jsonl --max_length 128 --output ids.jsonl\n"
    "  echo '[9707, 1052]' | dept tokenize --model_name_or_path MODEL --decode\n"};

struct TokenizeOptions {
  std::string model_name_or_path;
  HubFlags hub;
  std::string input, output, truncation = "longest_first";
  int64_t max_length = 0;
  bool original_quirks = false, no_special_tokens = false, decode = false, keep_special_tokens = false;
};

void describe(TokenizeOptions& options, OptionSet& set) {
  set.section("Tokenizer");
  set.add("model_name_or_path", options.model_name_or_path,
          "a folder with tokenizer.json or a family's vocabulary files, a tokenizer.json, a .gguf file, or a name on the hub");
  describe(options.hub, set);
  set.add("original_quirks", options.original_quirks, "the tokenizer as the original's transformers 4.28 makes it");
  set.section("Lines");
  set.add("input", options.input, "file to read; stdin when not given");
  set.add("output", options.output, "file to write; stdout when not given");
  set.section("Text to ids");
  set.add("no_special_tokens", options.no_special_tokens, "leave out the tokens that the tokenizer puts around a text");
  set.add("max_length", options.max_length, "most ids a line, special tokens included; 0: all").min(0).max(INT32_MAX);
  set.add("truncation", options.truncation, "which text of a pair is cut")
      .choices({"longest_first", "only_first", "only_second"});
  set.section("Ids to text");
  set.add("decode", options.decode, "read lists of ids, write texts");
  set.add("keep_special_tokens", options.keep_special_tokens, "show special tokens in the text");
}

void warn_of_idle_options(const TokenizeOptions& o, const OptionSet& set) {
  if (!o.decode) {
    set.warn_idle("keep_special_tokens", "there is no --decode");
    if (o.max_length == 0) set.warn_idle("truncation", "there is no --max_length");
    return;
  }
  for (const char* name : {"no_special_tokens", "max_length", "truncation"}) set.warn_idle(name, "--decode makes texts");
}

Truncation truncation_of(const std::string& name) {
  if (name == "only_first") return Truncation::only_first;
  return name == "only_second" ? Truncation::only_second : Truncation::longest_first;
}

Ids encode_line(const Tokenizer& tokenizer, const Json& line, const EncodeOptions& options, const std::string& where) {
  if (line.is_string()) return tokenizer.encode(line.get_ref<const std::string&>(), options);
  if (line.is_array() && line.size() == 2 && line[0].is_string() && line[1].is_string())
    return tokenizer.encode_pair(line[0].get_ref<const std::string&>(), line[1].get_ref<const std::string&>(), options);
  fail(Code::bad_input, where, R"("text" or ["text", "pair"])", quote(line.dump()));
}

Ids read_ids(const Json& line, const std::string& where) {
  Ids ids;
  for (const Json& id : line.is_array() ? line : Json::array({Json()})) {
    if (!id.is_number_integer()) fail(Code::bad_input, where, "a list of ids", quote(line.dump()));
    ids.push_back(id.get<int64_t>());
  }
  return ids;
}

}  // namespace

int run_tokenize(const std::vector<std::string>& arguments) {
  TokenizeOptions options;
  OptionSet set;
  describe(options, set);
  if (!read_command_line(set, arguments, tokenize_usage)) return 0;
  if (options.model_name_or_path.empty())
    fail(Code::usage, "--model_name_or_path", "a model's or tokenizer's folder, file or name on the hub", "nothing");
  warn_of_idle_options(options, set);
  LineReader reader(options.input);
  const auto tokenizer = load_tokenizer(place_on_disk(options.model_name_or_path, options.hub, ModelPart::tokenizer),
                                        tokenizer_rules(Quirks(options.original_quirks)));
  LineWriter writer(options.output);
  const EncodeOptions encoding{!options.no_special_tokens, options.max_length, truncation_of(options.truncation)};
  while (const auto line = reader.next_json()) {
    try {
      if (options.decode)
        writer.write(tokenizer->decode(read_ids(*line, "ids"), !options.keep_special_tokens));
      else
        writer.write(encode_line(*tokenizer, *line, encoding, "text"));
    } catch (const Error& error) {
      throw error.code() == Code::io ? error : Error(Code::bad_input, str("[", reader.where(), "] ", error.what()));
    }
  }
  writer.commit();
  return 0;
}

}  // namespace dept
