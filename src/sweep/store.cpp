#include "sweep/store.h"

#include <set>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/train/identity.h"
#include "sweep/outcome.h"

namespace dept {
namespace {

constexpr const char* state_name = "sweep.json";

// What the files of all runs hold.
OrderedJson contents_of(const Sweep& sweep) {
  OrderedJson contents = OrderedJson::object();
  std::set<std::string> seen;
  for (size_t place = 0; place < sweep.plan.size(); ++place) {
    const std::unique_ptr<Configuration> run = sweep.configure(place);
    const TrainOptions& o = run->train();
    std::string key;
    for (const char* name : {"task_file", "train_file", "validation_file", "test_file", "class_weights", "model_name_or_path",
                             "tokenizer_name", "peft_model_id"})
      key += option_text(*run->set.find(name)) + "\n";
    if (!seen.insert(key).second) continue;
    const OrderedJson files = file_contents(o);
    for (const auto& [option, digests] : files.items()) {
      const bool of_model = option == "model_name_or_path" || option == "tokenizer_name" || option == "peft_model_id";
      for (const auto& [file, digest] : digests.items())
        contents[option][of_model ? str(option_text(*run->set.find(option)), "/", file) : file] = digest;
    }
  }
  return contents;
}

// What an earlier sweep wrote; its state first, which claims the rest.
void remove_sweep(const fs::path& out) {
  std::error_code ignored;
  fs::remove(out / state_name, ignored);
  std::vector<fs::path> old = {out / "runs", out / "results.csv", out / "results.jsonl", out / "report.html"};
  for (const auto& entry : fs::directory_iterator(out, ignored))
    if (const std::string name = entry.path().filename().string();
        name == "best" || name == "best.yaml" || name.rfind("best-", 0) == 0)
      old.push_back(entry.path());
  for (const fs::path& path : old) fs::remove_all(path, ignored);
}

// What is of the adapter, not of the run that claims its own folder.
bool belongs_to_adapter(const fs::directory_entry& entry) {
  const std::string name = entry.path().filename().string();
  return entry.is_regular_file() && name[0] != '.' && name != "run.json" && name != "output.log";
}

}  // namespace

Store::Store(const Sweep& sweep, bool writes) : sweep_(sweep), writes_(writes), identity_(sweep.identity) {
  identity_.contents = contents_of(sweep_);
  for (const PlannedRun& planned : sweep.plan) {
    RunRecord run;
    run.name = planned.name;
    run.task = planned.task;
    run.row = planned.row;
    runs.push_back(std::move(run));
  }
  for (size_t place = 0; place < runs.size(); ++place) {
    const std::unique_ptr<Configuration> configuration = sweep.configure(place);
    for (const Axis& axis : sweep.spec.axes) runs[place].axes[axis.option] = option_json(*configuration->set.find(axis.option));
  }
}

Claim Store::claim() const {
  return check_claim(sweep_.out, identity_, {sweep_.overwrite, false, state_name});
}

void Store::open() {
  require_writable_folder(sweep_.out);
  if (sweep_.overwrite) remove_sweep(sweep_.out);
  remove_leftovers(sweep_.out);
  for (const RunRecord& run : runs)
    if (fs::is_directory(run_folder(sweep_.out, run))) remove_leftovers(run_folder(sweep_.out, run));
  const fs::path path = sweep_.out / state_name;
  if (fs::exists(path)) {
    read_json(path);  // strictly; it sorts the keys
    const OrderedJson state = OrderedJson::parse(read_file(path));
    restore(state.value("runs", OrderedJson::array()), path.string());
  }
  write_state();
}

void Store::restore(const OrderedJson& records, const std::string& where) {
  for (const OrderedJson& json : records)
    for (RunRecord& run : runs)
      if (run.name == json.value("name", "")) restore_record(run, json, where);
}

OrderedJson Store::records_of(const std::vector<size_t>& places) const {
  OrderedJson records = OrderedJson::array();
  for (const size_t place : places) records.push_back(record_json(runs[place]));
  return records;
}

void Store::write_state() const {
  OrderedJson state = {{"command", sweep_.command.line()},
                       {"finished", finished_},
                       {"options", identity_.options},
                       {"contents", identity_.contents},
                       {"runs", OrderedJson::array()}};
  for (const RunRecord& run : runs) state["runs"].push_back(record_json(run));
  write_atomic(sweep_.out / state_name, state.dump(2) + "\n");
}

void Store::save() const {
  if (!writes_) return;
  write_state();
  write_atomic(sweep_.out / "results.jsonl", results_jsonl(runs));
  write_atomic(sweep_.out / "results.csv", results_csv(runs, sweep_.axes(), sweep_.spec.repeat));
}

void Store::keep_best(size_t place) const {
  if (!writes_) return;
  const RunRecord& run = runs[place];
  const std::string name = run.task.empty() ? "best" : "best-" + run.task;
  AtomicFolder best(sweep_.out / name);
  for (const auto& entry : fs::directory_iterator(run_folder(sweep_.out, run)))
    if (belongs_to_adapter(entry)) fs::copy_file(entry.path(), best.path() / entry.path().filename());
  best.commit();
  const fs::path again = sweep_.out / (name + "-again"), recipe = sweep_.out / (name + ".yaml");
  write_atomic(recipe,
               str("# dept train ", recipe.string(), "\n# The run ", run.name, ", which was the best on the validation data.\n",
                   run_recipe(sweep_.command, sweep_.spec, sweep_.plan[place], again)));
}

void Store::finish() {
  if (!writes_) return;
  save();
  finished_ = true;
  write_state();
}

}  // namespace dept
