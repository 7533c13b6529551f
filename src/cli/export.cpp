// dept export: an adapter as what it amounts to, for other programs.
#include <ATen/ops/cat.h>

#include "cli/command.h"
#include "cli/frame.h"
#include "cli/loaded_model.h"
#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/text.h"
#include "dept/tensorio/tensor_source.h"

namespace dept {
namespace {

constexpr Usage export_usage{
    "Usage: dept export --peft_model_id DIR --to prompt_tuning|prompt_embeds --output PATH [--flags] [< TEXTS]\n"
    "What a trained adapter amounts to: its prompt as an adapter of prompt tuning that PEFT reads, or the embeddings [tokens, "
    "width]\n"
    "of given texts, prompt in front, for servers that take them. A text is a line: JSON (\"text\" or {\"source\": ..}).\n",
    false, 0,
    "  dept export --peft_model_id runs/mine --to prompt_tuning --output for-peft\n"
    "  echo '\"a fine film\"' | dept export --peft_model_id runs/mine --to prompt_embeds --output texts.safetensors\n"};

struct ExportOptions {
  ModelOptions model;
  std::string to, input, output;
  bool raw = false, truncate = false;
};

void describe(ExportOptions& o, OptionSet& set) {
  describe(o.model, set);
  set.section("Input and output");
  set.add("to", o.to, "an adapter's folder, or one file with a tensor a text, named 0, 1, ..")
      .choices({"prompt_tuning", "prompt_embeds"});
  set.add("output", o.output, "the folder, or the .safetensors file");
  set.add("input", o.input, "prompt_embeds: file of lines (default: standard input)");
  set.add("raw", o.raw, "prompt_embeds: take each text as it is, without the adapter's source_template and causal_suffix");
  set.add("truncate", o.truncate, "prompt_embeds: cut a text that is too long for the model's positions or the adapter's rows");
}

void check(const ExportOptions& o, const OptionSet& set) {
  if (o.model.peft_model_id.empty()) fail(Code::usage, "--peft_model_id", "a trained adapter", "nothing");
  if (o.to.empty()) fail(Code::usage, "--to", "prompt_tuning or prompt_embeds", "nothing");
  if (o.output.empty()) fail(Code::usage, "--output", o.to == "prompt_tuning" ? "a folder" : "a .safetensors file", "nothing");
  if (o.to == "prompt_tuning")
    for (const char* name : {"input", "raw", "truncate"}) set.warn_idle(name, "--to prompt_tuning reads no texts");
}

// Other programs have no place for what an adapter sees of images.
void refuse_images(const ExportOptions& o) {
  if (!is_on_hub(o.model.peft_model_id) && read_adapter_config(o.model.peft_model_id).visual)
    fail(Code::usage, "--peft_model_id", "an adapter that sees texts alone", "one that sees images");
}

// The prompt alone is the whole adapter only where the word embeddings stay as they are.
void export_prompt(const ExportOptions& o, const LoadedModel& model) {
  AdapterConfig config = read_adapter_config(o.model.peft_model_id);
  if (model.model.parts().word_embeddings.defined() || model.adapter().max_text() > 0)
    fail(Code::usage, "--to", "prompt_embeds, as this adapter changes the word embeddings too", "prompt_tuning");
  FoldedAdapter folded;
  folded.prompt = model.adapter().whole_prompt();
  config.method = &prompt_tuning_method();
  fs::create_directories(o.output);
  save_adapter(o.output, config, {prompt_alone(folded, config.submodules()), {}, {}});
  log::info(str("a prompt of ", folded.prompt.size(1), " tokens in ", o.output));
}

std::string text_of(const Json& line, const std::string& where) {
  if (line.is_string()) return line.get<std::string>();
  for (const char* key : {"source", "text", "prompt"})
    if (line.is_object() && line.contains(key)) return require<std::string>(line, key, where);
  fail(Code::bad_input, where, "a string, or an object with source, text or prompt", quote(line.dump()));
}

// [tokens, D] of each text of a batch, its prompt in front.
std::vector<at::Tensor> embeddings(const LoadedModel& model, const InputBatch& batch) {
  const Batch collated = batch.collated();
  const AdaptedText adapted = batch.adapted(collated);
  const at::Tensor texts = adapted.stream.embeds.cpu().index_select(0, adapted.layout.text);
  const at::Tensor prompt = model.adapter().whole_prompt()[0].narrow(0, 0, adapted.layout.prompt).cpu();
  std::vector<at::Tensor> all;
  const Ragged& tokens = collated.source;
  for (int64_t b = 0; b < tokens.batch(); ++b)
    all.push_back(at::cat({prompt, texts.narrow(0, tokens.offsets[b], tokens.length(b))}));
  return all;
}

void export_embeddings(const ExportOptions& o, const LoadedModel& model, LineReader& reader) {
  if (model.adapter().decoder_prompt_tokens() > 0)
    fail(Code::usage, "--to", "prompt_tuning, as this adapter's decoder has a prompt of its own too", "prompt_embeds");
  const AdapterTask task = o.raw ? AdapterTask() : model.task();
  Texts texts(model, o.truncate);
  InputBatch batch(model);
  NamedTensors tensors;
  while (const std::optional<Json> line = reader.next_json()) {
    const Ids ids = texts.source(task, text_of(*line, reader.where()), 0, reader.where());
    batch.add(ids, {}, 0, reader.where());
    for (const at::Tensor& one : embeddings(model, batch)) tensors.emplace_back(std::to_string(tensors.size()), one);
    batch.clear();
  }
  save_safetensors(o.output, tensors, {{"format", "pt"}});
  texts.report();
  log::info(str(tensors.size(), tensors.size() == 1 ? " text in " : " texts in ", o.output));
}

}  // namespace

int run_export(const std::vector<std::string>& arguments) {
  ExportOptions options;
  OptionSet set;
  describe(options, set);
  if (!read_command_line(set, arguments, export_usage)) return 0;
  check(options, set);
  refuse_images(options);
  if (options.to == "prompt_tuning") {
    export_prompt(options, load_model(options.model, set));
    return 0;
  }
  check_output_file(options.output);
  LineReader reader(options.input);
  export_embeddings(options, load_model(options.model, set), reader);
  return 0;
}

}  // namespace dept
