// The commands of the program. commands.cpp lists those that exist; each has a file of its own.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dept {

struct Command {
  std::string_view name, summary;
  int (*run)(const std::vector<std::string>& arguments);  // returns the exit code; errors are thrown
  std::vector<std::string_view> actions = {};             // what its first word may be
};

std::span<const Command> commands();

int run_train(const std::vector<std::string>& arguments);
int run_sweep(const std::vector<std::string>& arguments);
int run_eval(const std::vector<std::string>& arguments);
int run_predict(const std::vector<std::string>& arguments);
int run_generate(const std::vector<std::string>& arguments);
int run_score(const std::vector<std::string>& arguments);
int run_serve(const std::vector<std::string>& arguments);
int run_export(const std::vector<std::string>& arguments);
int run_report(const std::vector<std::string>& arguments);
int run_bench(const std::vector<std::string>& arguments);
int run_data(const std::vector<std::string>& arguments);
int run_model(const std::vector<std::string>& arguments);
int run_tokenize(const std::vector<std::string>& arguments);
int run_doctor(const std::vector<std::string>& arguments);
int run_completion(const std::vector<std::string>& arguments);

}  // namespace dept
