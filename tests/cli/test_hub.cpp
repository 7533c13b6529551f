#include <gmock/gmock.h>

#include <map>
#include <optional>

#include "cli/program.h"
#include "hub/loopback_hub.h"

namespace dept {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// The environment of the program that a test runs.
class Hub : public testing::Test {
 protected:
  void SetUp() override {
    set("HF_ENDPOINT", hub_.endpoint);
    set("HF_HOME", (scratch_ / "home").string());
    set("HF_HUB_CACHE", hub_.cache().string());
    set("HF_HUB_DOWNLOAD_TIMEOUT", "3");
    set("HF_HUB_ETAG_TIMEOUT", "10");
    for (const char* name : {"HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"}) set(name, "");
  }
  void TearDown() override {
    for (const auto& [name, value] : before_) value ? ::setenv(name.c_str(), value->c_str(), 1) : ::unsetenv(name.c_str());
  }
  void set(const char* name, const std::string& value) {
    const char* before = std::getenv(name);
    before_.emplace(name, before == nullptr ? std::nullopt : std::optional<std::string>(before));
    ::setenv(name, value.c_str(), 1);
  }
  std::vector<std::string> training(const std::string& out) const {
    return typed(
        "train --model_name_or_path t5-base --task_name cola --dataset_config_name en --do_train --do_eval --do_predict"
        " --prefix_length 4 --r 2 --max_seq_length 16 --max_steps 2 --learning_rate 0.3 --lora_embedding_lr 5e-3 --threads 1"
        " --use_auth_token",
        {"--output_dir", scratch_ / out});
  }

  LoopbackHub hub_{LoopbackHub::Content::original_tasks};
  Scratch scratch_;

 private:
  std::map<std::string, std::optional<std::string>> before_;
};

TEST_F(Hub, FetchesAModel) {
  const Outcome outcome = run_dept({"model", "fetch", "t5-base"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const Json fetched = Json::parse(outcome.out);
  EXPECT_EQ(fetched["name"], "t5-base");
  EXPECT_EQ(fetched["files"],
            Json::parse(
                R"(["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"])"));
  const std::string path = fetched["path"];
  EXPECT_EQ(read_file(fs::path(path) / "model.safetensors"),
            read_file(DEPT_TEST_DATA "/parity/data/models/t5-v1.0/model.safetensors"));
  const Outcome by_name = run_dept({"model", "show", "t5-base", "--json"}), by_path = run_dept({"model", "show", path, "--json"});
  EXPECT_EQ(by_name.out, by_path.out);
  const Outcome elsewhere =
      run_dept({"model", "fetch", "t5-base", "--cache_dir", (scratch_ / "other").string(), "--model_revision", "main"});
  EXPECT_EQ(Json::parse(elsewhere.out)["path"].get<std::string>().rfind((scratch_ / "other").string(), 0), 0u);
}

TEST_F(Hub, TwoProcessesFetchTheSame) {
  hub_.faults({{{"on", "content"}, {"drip", 20000}}});
  Child first({"model", "fetch", "t5-base"}), second({"model", "fetch", "t5-base"}), data({"data", "fetch", "rte"}),
      again({"data", "fetch", "rte"});
  const Outcome one = first.wait(), two = second.wait(), three = data.wait(), four = again.wait();
  EXPECT_EQ(one.code, 0) << one.err;
  EXPECT_EQ(two.code, 0) << two.err;
  EXPECT_EQ(one.out, two.out);
  EXPECT_EQ(three.code, 0) << three.err;
  EXPECT_EQ(three.out, four.out);
  EXPECT_EQ(hub_.count("GET", "model.safetensors", "content"), 1u);
}

TEST_F(Hub, AKilledFetchGoesOn) {
  hub_.faults({{{"on", "content"}, {"drip", 5000}}});
  Child child({"model", "fetch", "t5-base"});
  for (int i = 0; i < 500 && hub_.count("GET", "", "content") == 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  ::kill(child.pid(), SIGKILL);
  child.wait();
  hub_.faults(Json::array());
  EXPECT_EQ(run_dept({"model", "fetch", "t5-base"}).code, 0);
  EXPECT_THAT(hub_.requests().back()["range"].get<std::string>(), HasSubstr("bytes="));
}

TEST_F(Hub, FetchesDataOfTasksAndRepositories) {
  const Outcome task = run_dept({"data", "fetch", "mnli"});
  ASSERT_EQ(task.code, 0) << task.err;
  std::vector<std::string> splits;
  std::istringstream lines(task.out);
  for (std::string line; std::getline(lines, line);) {
    const Json split = Json::parse(line);
    splits.push_back(split["split"]);
    EXPECT_EQ(split["files"].size(), 1u);
    EXPECT_TRUE(fs::exists(split["files"][0].get<std::string>()));
  }
  EXPECT_THAT(splits, testing::ElementsAre("train", "validation_mismatched", "validation_matched"));
  const Outcome one = run_dept({"data", "fetch", "nyu-mll/glue", "--config", "rte", "--split", "validation"});
  EXPECT_THAT(one.out, AllOf(HasSubstr("rte/validation/0000.parquet"), Not(HasSubstr("train"))));
  const Outcome all = run_dept({"data", "fetch", "nyu-mll/glue"});
  EXPECT_EQ(std::count(all.out.begin(), all.out.end(), '\n'), 17);
  EXPECT_THAT(expect_one_line(run_dept({"data", "fetch", "nyu-mll/glue", "--config", "rta", "--split", "train"}), 2),
              HasSubstr("\"rte\""));
  EXPECT_THAT(expect_one_line(run_dept({"data", "fetch", "mrcp"}), 2), HasSubstr("mrpc"));
  const Outcome shown = run_dept({"data", "show", "rte", "--limit", "1"});
  EXPECT_THAT(shown.out, HasSubstr("{\"index\":0,\"source\":\"sentence1: "));
}

// A task of the user's own, whose split the hub keeps as two files.
TEST_F(Hub, RowsOfSeveralFilesAreOneSplit) {
  const std::string rte = DEPT_TEST_DATA "/hub/data/glue/rte/";
  hub_.put("datasets/org/two/default/train/0000.parquet", read_file(rte + "train/0000.parquet"));
  hub_.put("datasets/org/two/default/train/0001.parquet", read_file(rte + "validation/0000.parquet"));
  const std::string yaml = scratch_
                               .write("own.yaml",
                                      "own:\n  repository: org/two\n  source: \"{sentence1}\"\n  target: \"{label}\"\n  labels: "
                                      "[0, 1]\n  metrics: [accuracy]\n")
                               .string();
  const Outcome both = run_dept({"data", "show", "own", "--task_file", yaml, "--json"});
  ASSERT_EQ(both.code, 0) << both.err;
  std::string expected;
  int64_t index = 0;
  for (const char* file : {"train/0000.parquet", "validation/0000.parquet"}) {
    const Outcome one = run_dept({"data", "show", "own", "--task_file", yaml, "--train_file", rte + file, "--json"});
    std::istringstream lines(one.out);
    for (std::string line; std::getline(lines, line);) {
      OrderedJson row = OrderedJson::parse(line);
      row["index"] = index++;
      expected += row.dump() + "\n";
    }
  }
  EXPECT_EQ(index, 56);
  EXPECT_EQ(both.out, expected);
}

TEST_F(Hub, TrainsByNamesAndAgainOffline) {
  const Outcome first = run_dept(training("first"));
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_THAT(first.err, HasSubstr("--use_auth_token"));
  EXPECT_EQ(read_json(scratch_ / "first/adapter_config.json")["base_model_name_or_path"], "t5-base");
  const size_t asked = hub_.count("");
  set("HF_HUB_OFFLINE", "1");
  set("HF_ENDPOINT", "http://127.0.0.1:9");
  const Outcome second = run_dept(training("second"));
  ASSERT_EQ(second.code, 0) << second.err;
  EXPECT_EQ(hub_.count(""), asked);
  for (const char* file : {"adapter_model.safetensors", "generated_predictions.jsonl"})
    EXPECT_EQ(read_file(scratch_ / "first" / file), read_file(scratch_ / "second" / file)) << file;
  EXPECT_THAT(run_dept(training("second")).err, HasSubstr("this very run, finished"));
  const std::string adapter = (scratch_ / "first").string();
  EXPECT_THAT(run_dept({"eval", "--peft_model_id", adapter, "--task_name", "cola"}).out, HasSubstr("matthews_correlation"));
  EXPECT_THAT(run_dept({"predict", "--peft_model_id", adapter}, "\"the film\"\n").out, HasSubstr("prediction"));
  EXPECT_THAT(run_dept({"generate", "--model_name_or_path", "t5-base", "--max_new_tokens", "2"}, "\"the film\"\n").out,
              HasSubstr("ids"));
  EXPECT_THAT(run_dept({"score", "--model_name_or_path", "t5-base"}, "{\"source\":\"a\",\"target\":\"b\"}\n").out,
              HasSubstr("nll"));
  EXPECT_THAT(run_dept({"tokenize", "--model_name_or_path", "t5-base"}, "\"film\"\n").out, HasSubstr(",1]"));
}

// The branch has moved on between the two parts of a run: what it has now is not what the first part was trained on.
TEST_F(Hub, ARunThatGoesOnSeesTheSameModelAndRows) {
  ASSERT_EQ(run_dept(training("run")).code, 0);
  const fs::path marker = scratch_ / "run/run.json";
  Json run = read_json(marker);
  run["finished"] = false;
  const auto refused = [&](const char* option, const char* file) {
    Json other = run;
    ASSERT_TRUE(other["contents"][option].contains(file)) << run["contents"].dump();
    other["contents"][option][file] = "another digest";
    write_atomic(marker, other.dump());
    const Outcome outcome = run_dept(training("run"));
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(str(option, ": ", file, " has changed")));
  };
  refused("model_name_or_path", "model.safetensors");
  refused("model_name_or_path", "tokenizer.json");
  refused("train", "rows");
  write_atomic(marker, run.dump());
  EXPECT_EQ(run_dept(training("run")).code, 0);
}

TEST_F(Hub, AnAdapterMayLieThereToo) {
  ASSERT_EQ(run_dept(training("source")).code, 0);
  for (const char* file : {"adapter_config.json", "adapter_model.safetensors"})
    hub_.put(str("models/team/adapter/", file), read_file(scratch_ / "source" / file));
  const auto evaluated = [&](const std::string& adapter) {
    return run_dept({"eval", "--peft_model_id", adapter, "--task_name", "cola", "--threads", "1"}).out;
  };
  EXPECT_EQ(evaluated("team/adapter"), evaluated((scratch_ / "source").string()));
  const auto going_on = [&](const std::string& adapter, const std::string& out) {
    std::vector<std::string> flags = training(out);
    flags.insert(flags.end(), {"--peft_model_id", adapter});
    const Outcome run = run_dept(flags);
    EXPECT_EQ(run.code, 0) << run.err;
    return read_file(scratch_ / out / "adapter_model.safetensors");
  };
  set("HF_HUB_OFFLINE", "1");
  EXPECT_EQ(going_on("team/adapter", "by_name"), going_on((scratch_ / "source").string(), "by_path"));
  for (const char* command : {"predict", "generate", "score"}) {
    const std::string text = command == std::string("score") ? "{\"source\":\"a\",\"target\":\"b\"}\n" : "\"the film\"\n";
    EXPECT_EQ(run_dept({command, "--peft_model_id", "team/adapter"}, text).code, 0) << command;
  }
  EXPECT_THAT(expect_one_line(run_dept({"predict", "--peft_model_id", "team/other"}), 4),
              AllOf(HasSubstr("hub: team/other"), HasSubstr("--peft_model_id FOLDER")));
}

TEST_F(Hub, WhatCannotBeReachedIsToldAtOnceAndTogether) {
  set("HF_ENDPOINT", "http://192.0.2.1");
  set("HF_HUB_ETAG_TIMEOUT", "");
  const std::string out = (scratch_.write("file", "no folder") / "never").string();
  const std::string said = expect_one_line(
      run_dept({"train", "--model_name_or_path", "t5-base", "--task_name", "cola", "--do_train", "--output_dir", out}), 4);
  EXPECT_THAT(said, AllOf(HasSubstr("hub: t5-base"), HasSubstr("hub: datasets/nyu-mll/glue"), HasSubstr("http://192.0.2.1"),
                          HasSubstr("--model_name_or_path FOLDER"), HasSubstr("--train_file"), HasSubstr("file/never")));
  // One attempt serves both: its reason, which may name milliseconds, stands there twice.
  const auto reason_at = [&](size_t at) { return said.substr(at, said.find(')', at) - at); };
  const std::string_view begin = "no answer (";
  EXPECT_EQ(reason_at(said.find(begin)), reason_at(said.rfind(begin)));
  EXPECT_THAT(expect_one_line(run_dept({"model", "fetch", "t5-base"}), 4), HasSubstr("http://192.0.2.1"));
  EXPECT_THAT(expect_one_line(run_dept({"model", "fetch", "a/b/c"}), 2), HasSubstr("a repository as in"));
  EXPECT_THAT(expect_one_line(run_dept({"generate", "--model_name_or_path", "no/such/folder"}), 4), HasSubstr("not there"));
}

TEST_F(Hub, HelpNamesTheFlags) {
  EXPECT_THAT(run_dept({"model", "fetch", "--help"}).out, AllOf(HasSubstr("--revision"), HasSubstr("--cache_dir")));
  EXPECT_THAT(run_dept({"data", "fetch", "--help"}).out, AllOf(HasSubstr("--config"), HasSubstr("--split")));
  EXPECT_THAT(run_dept({"train", "--help"}).out, HasSubstr("--revision"));
}

}  // namespace
}  // namespace dept
