#include "cli/loaded_model.h"

#include <algorithm>
#include <limits>

#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/text.h"
#include "dept/models/generation.h"
#include "dept/tasks/source_template.h"
#include "dept/train/alike.h"
#include "dept/train/encode.h"
#include "dept/train/identity.h"
#include "dept/train/setup.h"

namespace dept {
namespace {

bool has_tokenizer(const fs::path& path) {
  return !fs::is_directory(path) || fs::exists(path / "tokenizer.json");
}

void require_alike(RankGroup* group, const OptionSet& set, const ModelOptions& model) {
  if (group == nullptr) return;
  TrainOptions files;
  files.model = model;
  require_alike(group, {deciding_options(set), file_contents(files)});
}

}  // namespace

LoadedModel load_model(ModelOptions options, const OptionSet& set, RankGroup* group) {
  if (!options.peft_model_id.empty()) {
    DataOptions unused;
    place_adapter(options);
    const AdapterConfig config = read_adapter_config(options.peft_model_id);
    if (config.classifies())
      fail(Code::usage, "--peft_model_id", "an adapter that answers in words (dept predict and dept eval use this one)",
           "a classification head");
    adopt_model(config, options, unused, set);
    adopt_dtype(config, options, set);
  }
  check_source(options);
  one_first(group, [&] { place_model(options); });
  require_alike(group, set, options);
  const ModelInfo info = check_model(options);
  if (info.architecture == Architecture::encoder)
    fail(Code::usage, "--model_name_or_path", "a model that writes text", str(info.model_type, ", an encoder"));
  const ModelContext context = make_context(options);
  configure_process(context.threads);
  ModelParts parts;
  parts.rules.architecture = info.architecture;
  parts.weights.input = no_adapter(info.input_width());
  if (!options.peft_model_id.empty()) attach_adapter(parts, load_adapter(options.peft_model_id, info.input_width()), info, {});
  parts.rules.decoder_start_id = info.decoder_start_id.value_or(0);
  const int64_t rows = parts.weights.input->max_text();
  parts.rules.max_source = rows > 0 ? rows : std::numeric_limits<int64_t>::max();
  if (rows == 0) parts.rules.alignment = DeltaAlignment::start;
  parts.rules.visual = visual_of(parts, options);
  if (!options.tokenizer_name.empty() || has_tokenizer(options.path())) parts.tokenizer = load_model_tokenizer(options, Quirks());
  AdaptedModel model = load_adapted_model(std::move(parts), options, context);
  return {std::move(options), std::move(model), group};
}

int64_t LoadedModel::room(int64_t behind) const {
  const int64_t positions = backbone().info().max_positions;
  const auto& visual = model.rules().visual;
  const int64_t in_front = adapter().prompt_tokens() + (visual ? visual->tokens() : 0);
  return positions > 0 ? positions - in_front - behind : std::numeric_limits<int64_t>::max();
}

Ids Texts::source(const AdapterTask& task, const std::string& text, int64_t behind, const std::string& where) {
  const std::string filled = fill_template(task.source_template, text, where, "--raw and the whole source");
  const int64_t room = model_->room(behind), most = model_->adapter().max_text();
  return fit(task, filled, most > 0 ? std::min(room, most) : room, where);
}

Ids Texts::whole(const std::string& text, const std::string& where) {
  return fit({}, text, model_->room(0), where);
}

Ids Texts::target(const std::string& text, const std::string& where) const {
  if (!model_->tokenizer()) fail(Code::bad_input, where, "ids, as the model has no tokenizer.json", "text");
  EncodeOptions options;
  options.add_special_tokens = model_->encoder_decoder();
  const Ids ids = model_->tokenizer()->encode(text, options);
  check_ids(*model_->tokenizer(), ids, model_->backbone().info().vocab, where);
  return ids;
}

Ids Texts::fit(const AdapterTask& task, const std::string& text, int64_t room, const std::string& where) {
  if (!model_->tokenizer()) fail(Code::bad_input, where, "ids, as the model has no tokenizer.json", "text");
  ++texts_;
  EncodeRules rules;
  rules.architecture = model_->backbone().info().architecture;
  rules.max_source = room;
  rules.truncate_head = task.truncate_head;
  if (!model_->encoder_decoder()) rules.causal_suffix = task.causal_suffix;
  const Ids ids = model_->tokenizer()->encode(text + rules.causal_suffix);
  check_ids(*model_->tokenizer(), ids, model_->backbone().info().vocab, where);
  const auto length = static_cast<int64_t>(ids.size());
  if (length <= room) return ids;
  if (!truncate_ || room < 1)
    fail(Code::bad_input, where,
         str("at most ", room, " tokens (", model_->limits(), ")", room < 1 ? "" : "; --truncate cuts a text"), str(length));
  ++cut_;
  const std::vector<TextExample> one{{0, text, ""}};
  return encode_examples(*model_->tokenizer(), rules, one, 1).front().source;
}

void Texts::report() const {
  if (cut_ > 0) log::warn(str(cut_, " of ", texts_, texts_ == 1 ? " text was cut" : " texts were cut"));
}

std::string LoadedModel::limits() const {
  std::vector<std::string> limits;
  if (const int64_t positions = backbone().info().max_positions; positions > 0)
    limits.push_back(
        str("the model's ", positions, " positions, less the prompt's ", adapter().prompt_tokens(), " and the answer's"));
  if (adapter().max_text() > 0) limits.push_back(str("the adapter's max_length, ", adapter().max_text()));
  return join(limits, "; ");
}

Ids require_ids(const LoadedModel& model, const Json& value, const std::string& key, const std::string& where, bool ignored) {
  const Ids ids = require<std::vector<int64_t>>(value, key, where);
  const int64_t vocab = model.backbone().info().vocab;
  for (const int64_t id : ids) {
    if ((id >= 0 && id < vocab) || (ignored && id == -100)) continue;
    fail(Code::bad_input, str(where, ": ", key), str("ids from 0 to ", vocab - 1, ignored ? ", or -100" : ""), str(id));
  }
  return ids;
}

std::string image_of(const LoadedModel& model, const Json& line, const std::string& where) {
  if (model.model.rules().visual == nullptr || !line.is_object()) return "";
  const std::string& column = model.task().image_column;
  return value_or<std::string>(line, column.empty() ? "image" : column, "", where);
}

void InputBatch::add(Ids source, Ids target, int64_t behind, const std::string& where, const std::string& image) {
  const int64_t S = model_->adapter().max_text(), room = model_->room(behind), sources = static_cast<int64_t>(source.size());
  // Of an encoder-decoder the target is the decoder's, whose positions have no limit.
  const int64_t length = sources + (model_->encoder_decoder() ? 0 : static_cast<int64_t>(target.size()));
  if (length == 0 && model_->adapter().prompt_tokens() == 0) fail(Code::bad_input, where, "at least one token", "none");
  if (S > 0 && sources > S)
    fail(Code::bad_input, where, str("at most ", S, " source tokens (the adapter's max_length)"), str(sources));
  if (length > room) fail(Code::bad_input, where, str("at most ", room, " tokens (", model_->limits(), ")"), str(length));
  Example& example = examples_.emplace_back(Example{next_example_++, std::move(source), std::move(target)});
  const VisualInput* visual = model_->model.rules().visual.get();
  if (visual == nullptr) return;
  example.image = visual->name_of(image, "", where + ": image");
  example.visual = visual->tokens();
}

void InputBatch::keep(const ItemRange& lines) {
  examples_ = {examples_.begin() + static_cast<ptrdiff_t>(lines.begin), examples_.begin() + static_cast<ptrdiff_t>(lines.end)};
}

void for_each_line(LineReader& reader, std::optional<int64_t> batch_size, const RankGroup* group,
                   const std::function<int64_t(const Json&, const std::string&)>& on_line,
                   const std::function<void()>& on_batch) {
  const int64_t ranks = group == nullptr ? 1 : group->size(), fewest = 8 * ranks;
  int64_t held = 0, tokens = 0;
  const auto flush = [&] {
    if (held > 0) on_batch();
    held = tokens = 0;
  };
  try {
    while (const std::optional<Json> value = reader.next_json()) {
      tokens += on_line(*value, reader.where());
      ++held;
      if (batch_size ? held == *batch_size * ranks : held >= fewest && tokens >= full_batch_tokens * ranks) flush();
    }
  } catch (const Error&) {
    flush();
    throw;
  }
  flush();
}

}  // namespace dept
