// What generate and score share: a model, perhaps with an adapter in front, and batches of ids for it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli/lines.h"
#include "cli/ranks.h"
#include "dept/adapter/adapter_file.h"
#include "dept/train/model_parts.h"
#include "dept/train/options.h"

namespace dept {

struct LoadedModel {
  ModelOptions options;
  AdaptedModel model;
  RankGroup* group = nullptr;  ///< ranks that share the lines

  const std::string& path() const { return options.path(); }

  const TextModel& backbone() const { return model.text_model(); }
  /// Null where the model has none.
  const Tokenizer* tokenizer() const { return model.parts().tokenizer.get(); }
  const InputAdapter& adapter() const { return model.adapter(); }
  /// Of an adapter of ours, else the text as given.
  const AdapterTask& task() const { return model.parts().config.task; }
  bool encoder_decoder() const { return backbone().info().encoder_decoder(); }
  /// The tokens that the model's positions leave to a text behind the prompt and in front of `behind` more; a T5 has no limit.
  int64_t room(int64_t behind) const;
  /// What room and the adapter's rows come from, for messages.
  std::string limits() const;
};

/// The model (the adapter's own when the options name none), its tokenizer and the adapter; what can be checked before the
/// weights are read is. Of several ranks all are to call it, with the same options. Throws usage, io or bad_input.
LoadedModel load_model(ModelOptions options, const OptionSet& set, RankGroup* group = nullptr);

/// Texts as ids. One that is too long for the adapter's rows or the model's positions is cut where that is allowed, else refused.
class Texts {
 public:
  Texts(const LoadedModel& model, bool truncate) : model_(&model), truncate_(truncate) {}

  /// A source in front of `behind` tokens: `task`'s template and, decoder-only, its suffix around the text, which alone is cut.
  /// Throws bad_input naming `where`, for a model without tokenizer too.
  Ids source(const AdapterTask& task, const std::string& text, int64_t behind, const std::string& where);
  /// A text without a source.
  Ids whole(const std::string& text, const std::string& where);
  /// As it is, without special tokens where an answer has none.
  Ids target(const std::string& text, const std::string& where) const;
  /// Says how many texts were cut.
  void report() const;

 private:
  Ids fit(const AdapterTask& task, const std::string& text, int64_t room, const std::string& where);

  const LoadedModel* model_;
  bool truncate_;
  int64_t texts_ = 0, cut_ = 0;
};

/// The list of ids at `key` of a line's object, each in the vocabulary or, where `ignored` is allowed, -100.
Ids require_ids(const LoadedModel& model, const Json& value, const std::string& key, const std::string& where,
                bool ignored = false);

/// The image that a line's object names in the column that the adapter was trained with; "" where it sees texts alone, or there
/// is none. Throws bad_input naming `where` for what is no text.
std::string image_of(const LoadedModel& model, const Json& line, const std::string& where);

/// Lines of a batch as examples.
class InputBatch {
 public:
  explicit InputBatch(const LoadedModel& model) : model_(&model) {}

  /// The source gets its rows of A·B, the target stands behind it; both are whole, without an end of their own. Throws bad_input
  /// naming `where` for a source longer than A has rows, for more tokens than the model has positions, `behind` further ones
  /// counted, and for nothing at all to start from.
  /// An adapter that sees images is shown that of the path or name `image`: throws also as VisualInput::name_of.
  void add(Ids source, Ids target, int64_t behind, const std::string& where, const std::string& image = "");
  /// Drops all lines but these.
  void keep(const ItemRange& lines);
  /// Text tokens with their labels.
  Batch collated() const { return collate(model_->model.rules(), examples_, Purpose::answering); }
  /// The sources as the backbone takes them.
  AdaptedText adapted(const Batch& batch) const { return model_->model.adapt_source({}, batch).source; }
  /// Makes room for the next batch; examples are counted on.
  void clear() { examples_.clear(); }

 private:
  const LoadedModel* model_;
  std::vector<Example> examples_;
  int64_t next_example_ = 0;
};

/// Calls `on_line(value, where)` for every line, which returns the tokens that it brings, read and written, and `on_batch()`
/// behind each `batch_size` lines (none: as many as make a full batch, but eight at least) and behind the last one, also the last
/// before a line that cannot be used. For several ranks so many batches are one.
void for_each_line(LineReader& reader, std::optional<int64_t> batch_size, const RankGroup* group,
                   const std::function<int64_t(const Json&, const std::string&)>& on_line, const std::function<void()>& on_batch);

}  // namespace dept
