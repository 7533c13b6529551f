// dept bench: the figures of one of its measurements, each of which is a file of its own.
#include "dept/bench/bench.h"

#include "cli/command.h"
#include "cli/frame.h"
#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/train/setup.h"

namespace dept {
namespace {

std::string figures_table(const OrderedJson& figures) {
  std::string lines;
  for (const auto& [name, value] : figures.items())
    lines += str(name, std::string(name.size() < 38 ? 38 - name.size() : 1, ' '), value.dump(), "\n");
  return lines;
}

}  // namespace

int run_bench(const std::vector<std::string>& arguments) {
  BenchOptions options;
  OptionSet set;
  describe(options, set);
  const auto rest =
      read_command_line(set, arguments,
                        {"Usage: dept bench train|eval|load --shape NAME | --model_name_or_path DIR [--flags]\n"
                         "       dept bench serve --url URL [--flags]\n"
                         "Measures a training step; the encoding of inputs and the greedy writing of labels; or the\n"
                         "time from nothing to the first training step. Refuses on a machine that is not idle.\n"
                         "Or asks a server at a given rate, and measures how long its answers take.\n",
                         false, 1,
                         "  dept bench train --shape t5-base --lengths 64 --batch 16 --dtype auto --compare pad,pad-max\n"
                         "  dept bench eval --model_name_or_path MODEL --text sentences.txt --json\n"
                         "  dept bench load --model_name_or_path MODEL\n"
                         "  dept bench serve --url http://127.0.0.1:8000 --rate 20 --adapters first,second\n"});
  if (!rest) return 0;
  place_model(options.model);
  const std::string what = rest->empty() ? "" : rest->front();
  std::vector<OrderedJson> figures;
  if (what == "train")
    figures = bench_train(options);
  else if (what == "eval")
    figures = {bench_eval(options)};
  else if (what == "load")
    figures = {bench_load(options)};
  else if (what == "serve")
    figures = {bench_serve(options)};
  else
    fail(Code::usage, "dept bench", "train, eval, load or serve", what.empty() ? "nothing" : quote(what));
  std::string out;
  for (const OrderedJson& each : figures) {
    if (!options.json && !out.empty()) out += "\n";
    out += options.json ? each.dump() + "\n" : figures_table(each);
  }
  write_stdout(out);
  return 0;
}

}  // namespace dept
