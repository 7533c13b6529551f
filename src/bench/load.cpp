// dept bench load: from exec to the end of the first training step.
#include <fstream>

#include "bench/measure.h"
#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/models/model_files.h"
#include "dept/train/step.h"

namespace dept {
namespace {

void read_through(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<char> piece(size_t{1} << 20);
  while (file.read(piece.data(), static_cast<std::streamsize>(piece.size()))) {
  }
}

// So that the page cache holds what is loaded.
void read_files(const fs::path& model) {
  if (!fs::is_directory(model)) return read_through(model);
  for (const fs::directory_entry& entry : fs::directory_iterator(model))
    if (entry.is_regular_file()) read_through(entry.path());
}

OrderedJson save(const BenchOptions& o) {
  if (o.shape.empty()) fail(Code::usage, "--save", "--shape, an architecture to save", "none");
  save_random_model(bench_config(o), o.save, 0);
  return {{"mode", "save"}, {"shape", o.shape}, {"model", o.save}};
}

}  // namespace

OrderedJson bench_load(const BenchOptions& o) {
  if (!o.save.empty()) return save(o);
  if (o.model.model_name_or_path.empty())
    fail(Code::usage, "--model_name_or_path", "a model on disk (--save writes one of a shape)", "nothing");
  OrderedJson figures = {{"mode", "load"}, {"shape", model_name(o)}, {"batch", o.batch}};
  figures["process_start_s"] = seconds_since_process_start();
  read_files(o.model.path());

  double total = figures["process_start_s"];
  auto part = Clock::now();
  const auto add = [&](const char* name) {
    figures[name] = seconds_since(part);
    total += seconds_since(part);
    part = Clock::now();
  };
  const ModelContext context = make_context(o.model);
  configure_process(context.threads);
  open_model(o.model.path(), true);
  add("map_s");
  AdaptedModel model = make_model(o, context);
  add("weights_s");
  Workload workload(o, model);
  Step step({}, model, {}, 1, 1);
  step.accumulate(workload.next());
  step.update({{0.01, 0.001, 0.001}})[0].item<double>();
  add("first_step_s");
  step.accumulate(workload.next());
  step.update({{0.01, 0.001, 0.001}})[0].item<double>();
  figures["second_step_s"] = seconds_since(part);
  figures["time_to_first_step_s"] = total;
  figures["peak_rss_gb"] = peak_rss_gb();
  return figures;
}

}  // namespace dept
