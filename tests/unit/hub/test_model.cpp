#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/file.h>

#include <fstream>

#include "dept/base/log.h"
#include "hub/loopback_hub.h"

namespace dept {
namespace {

using testing::HasSubstr;

constexpr const char* revision = "main";

std::string content_of(const fs::path& path) {
  return read_file(path);
}

// A little of everything, so that an offset that is wrong shows.
std::string many_bytes(size_t count) {
  std::string bytes(count, '\0');
  for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<char>((i * 2654435761u) >> 13);
  return bytes;
}

fs::path only_blob(const LoopbackHub& hub, const std::string& ending) {
  for (const auto& entry : fs::directory_iterator(hub.cache() / "models--tiny/blobs"))
    if (entry.path().filename().string().ends_with(ending)) return entry.path();
  return {};
}

class HubModel : public testing::Test {
 protected:
  fs::path fetch() const { return fetch_model(hub_.options(), "tiny", revision); }
  std::string refused() const {
    return error_of(Code::io, [&] { fetch(); });
  }

  LoopbackHub hub_;
};

TEST_F(HubModel, LandsInTheLayoutOfTheCache) {
  hub_.put_model();
  const fs::path folder = fetch();
  EXPECT_EQ(content_of(folder / "model.safetensors"), "weights");
  EXPECT_EQ(content_of(folder / "config.json"), "{}");
  const fs::path repository = hub_.cache() / "models--tiny";
  EXPECT_EQ(folder.parent_path(), repository / "snapshots");
  const std::string commit = folder.filename();
  EXPECT_EQ(content_of(repository / "refs/main"), commit);
  // sha256 for large files, git's sha1 for small ones (git hash-object), both told by the server
  EXPECT_EQ(fs::read_symlink(folder / "model.safetensors"),
            "../../blobs/9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c");
  EXPECT_EQ(fs::read_symlink(folder / "config.json"), "../../blobs/9e26dfeeb6e641a33dae4961196235bdb965b21b");
  EXPECT_TRUE(fs::exists(repository / ".no_exist" / commit / "spiece.model"));
  EXPECT_FALSE(fs::exists(repository / ".no_exist" / commit / "pytorch_model.bin"));
  EXPECT_TRUE(fs::exists(hub_.cache() / ".locks/models--tiny/9e26dfeeb6e641a33dae4961196235bdb965b21b.lock"));
  for (const Json& request : hub_.requests()) EXPECT_EQ(request["encoding"], "identity");
}

TEST_F(HubModel, IsFetchedOnce) {
  hub_.put_model();
  fetch();
  const size_t gets = hub_.count("GET"), heads = hub_.count("HEAD");
  fetch();
  EXPECT_EQ(hub_.count("GET"), gets);
  EXPECT_EQ(hub_.count("HEAD"), heads + 1);  // where the branch stands now
  const std::string commit = fetch().filename();
  const size_t all = hub_.count("");
  fetch_model(hub_.options(), "tiny", commit);
  EXPECT_EQ(hub_.count(""), all);
  HubOptions offline = hub_.options();
  offline.offline = true;
  offline.endpoint = "http://127.0.0.1:9";
  EXPECT_EQ(fetch_model(offline, "tiny", revision).filename(), commit);
  check_hub_model(offline, "tiny", revision);
  EXPECT_EQ(hub_.count(""), all);
}

TEST_F(HubModel, TakesAnotherRevisionBesideTheFirst) {
  hub_.put_model();
  hub_.put("models/tiny/.old/model.safetensors", "older");
  const fs::path main = fetch(), old = fetch_model(hub_.options(), "tiny", "old");
  EXPECT_NE(main, old);
  EXPECT_EQ(content_of(old / "model.safetensors"), "older");
  EXPECT_EQ(fs::read_symlink(old / "config.json"), fs::read_symlink(main / "config.json"));
  EXPECT_EQ(hub_.count("GET", "config.json"), 1u);
  EXPECT_THAT(error_of(Code::io, [&] { fetch_model(hub_.options(), "tiny", "none"); }),
              HasSubstr("no such branch, tag or commit"));
  error_of(Code::usage, [&] { fetch_model(hub_.options(), "tiny", "../../x"); });
  error_of(Code::usage, [&] { fetch_model(hub_.options(), "../x", revision); });
}

TEST_F(HubModel, ComesInShards) {
  hub_.put("models/tiny/config.json", "{}");
  hub_.put("models/tiny/pytorch_model.bin", "never fetched");
  hub_.put("models/tiny/model.safetensors.index.json",
           R"({"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors", "c": "m-1.safetensors"}})");
  hub_.put("models/tiny/m-1.safetensors", "one");
  hub_.put("models/tiny/m-2.safetensors", "two");
  const fs::path folder = fetch();
  EXPECT_EQ(content_of(folder / "m-1.safetensors") + content_of(folder / "m-2.safetensors"), "onetwo");
  EXPECT_EQ(hub_.count("GET", "m-1.safetensors", "content"), 1u);
  EXPECT_FALSE(fs::exists(folder / "pytorch_model.bin"));
}

TEST_F(HubModel, FallsBackToPytorchFiles) {
  hub_.put("models/tiny/config.json", "{}");
  EXPECT_THAT(refused(), HasSubstr("model.safetensors or pytorch_model.bin"));
  hub_.put("models/tiny/pytorch_model.bin", "pickle");
  fs::remove_all(hub_.cache());
  EXPECT_EQ(content_of(fetch() / "pytorch_model.bin"), "pickle");
}

TEST_F(HubModel, TokenizerAloneNeedsNoWeights) {
  hub_.put_model();
  const fs::path folder = fetch_model(hub_.options(), "tiny", revision, ModelPart::tokenizer);
  EXPECT_TRUE(fs::exists(folder / "tokenizer.json"));
  EXPECT_FALSE(fs::exists(folder / "model.safetensors"));
  EXPECT_EQ(hub_.count("", "model.safetensors"), 0u);
}

TEST_F(HubModel, AnAdapterIsItsConfigAndItsWeights) {
  const auto adapter = [&](const HubOptions& options) { return fetch_model(options, "tiny", revision, ModelPart::adapter); };
  hub_.put("models/tiny/config.json", "{}");
  EXPECT_THAT(error_of(Code::io, [&] { adapter(hub_.options()); }), HasSubstr("adapter_config.json"));
  hub_.put("models/tiny/adapter_config.json", "{}");
  EXPECT_THAT(error_of(Code::io, [&] { adapter(hub_.options()); }), HasSubstr("adapter_model.safetensors or adapter_model.bin"));
  hub_.put("models/tiny/adapter_model.bin", "pickle");
  fs::remove_all(hub_.cache());
  const fs::path folder = adapter(hub_.options());
  EXPECT_EQ(content_of(folder / "adapter_model.bin"), "pickle");
  EXPECT_FALSE(fs::exists(folder / "config.json"));
  HubOptions offline = hub_.options();
  offline.offline = true;
  EXPECT_EQ(adapter(offline), folder);
}

TEST_F(HubModel, OneGgufFileIsFetchedAlone) {
  hub_.put("models/org/quants/tiny-Q4.gguf", "four");
  hub_.put("models/org/quants/tiny-Q8.gguf", "eight");
  check_hub_model(hub_.options(), "org/quants:tiny-Q4.gguf", revision);
  const fs::path path = fetch_model(hub_.options(), "org/quants:tiny-Q4.gguf", revision);
  EXPECT_EQ(path.filename(), "tiny-Q4.gguf");
  EXPECT_EQ(content_of(path), "four");
  EXPECT_FALSE(fs::exists(path.parent_path() / "tiny-Q8.gguf"));
  EXPECT_EQ(hub_.count("GET", ".gguf", "content"), 1u);
  EXPECT_EQ(hub_.count("", "config.json"), 0u);
  HubOptions offline = hub_.options();
  offline.offline = true;
  EXPECT_EQ(fetch_model(offline, "org/quants:tiny-Q4.gguf", revision, ModelPart::tokenizer), path);
  EXPECT_THAT(error_of(Code::io, [&] { fetch_model(offline, "org/quants:tiny-Q8.gguf", revision); }),
              HasSubstr("HF_HUB_OFFLINE"));
}

TEST_F(HubModel, AllShardsOfAGgufModelAreFetched) {
  hub_.put("models/org/quants/Q4/tiny-00001-of-00003.gguf", "one");
  hub_.put("models/org/quants/Q4/tiny-00002-of-00003.gguf", "two");
  const std::string name = "org/quants:Q4/tiny-00002-of-00003.gguf";
  EXPECT_THAT(error_of(Code::io, [&] { fetch_model(hub_.options(), name, revision); }), HasSubstr("Q4/tiny-00003-of-00003.gguf"));
  fs::remove_all(hub_.cache());
  hub_.put("models/org/quants/Q4/tiny-00003-of-00003.gguf", "three");
  const fs::path path = fetch_model(hub_.options(), name, revision), folder = path.parent_path();
  EXPECT_EQ(path.filename(), "tiny-00002-of-00003.gguf");
  EXPECT_EQ(content_of(folder / "tiny-00001-of-00003.gguf") + content_of(path) + content_of(folder / "tiny-00003-of-00003.gguf"),
            "onetwothree");
}

TEST_F(HubModel, AGgufFileThatIsNotThereIsNamed) {
  hub_.put("models/org/quants/tiny-Q4.gguf", "four");
  EXPECT_THAT(error_of(Code::io, [&] { check_hub_model(hub_.options(), "org/quants:other.gguf", revision); }),
              HasSubstr("other.gguf"));
  for (const char* name :
       {"org/quants:../evil.gguf", "org/quants:weights.bin", "org/quants:tiny-00001-of-00000.gguf", "../x:a.gguf"})
    error_of(Code::usage, [&] { fetch_model(hub_.options(), name, revision); });
}

TEST_F(HubModel, ShardNamesNeverEscape) {
  hub_.put("models/tiny/config.json", "{}");
  for (const char* name : {"../../../../evil", "/etc/passwd", "a/b", "..", ""}) {
    hub_.put("models/tiny/model.safetensors.index.json", Json{{"weight_map", {{"a", name}}}}.dump());
    fs::remove_all(hub_.cache());
    EXPECT_THAT(error_of(Code::bad_input, [&] { fetch(); }), HasSubstr("names of files beside the index"));
  }
}

TEST_F(HubModel, NothingTheServerSaysIsAPath) {
  hub_.put_model();
  const auto expect = [&](const char* name, const char* value, const char* said) {
    fs::remove_all(hub_.cache());
    hub_.faults({{{"headers", {{name, value}}}}});
    EXPECT_THAT(refused(), HasSubstr(said)) << value;
    EXPECT_FALSE(fs::exists(hub_.cache() / "models--tiny/snapshots"));
  };
  for (const char* commit : {"../../../evil", "main", "", "/"}) expect("X-Repo-Commit", commit, "X-Repo-Commit");
  for (const char* etag : {"\"../../evil\"", "\"/etc/x\"", "\"..\"", "\"\""}) expect("ETag", etag, "ETag");
}

TEST_F(HubModel, GoesOnAfterABrokenConnection) {
  const std::string bytes = many_bytes(300000);
  hub_.put_model("tiny", bytes);
  hub_.faults({{{"on", "content"}, {"method", "GET"}, {"drop", 100000}, {"times", 2}}});
  EXPECT_EQ(content_of(fetch() / "model.safetensors"), bytes);
  std::vector<std::string> ranges;
  for (const Json& request : hub_.requests())
    if (request["on"] == "content") ranges.push_back(request["range"].is_null() ? "" : request["range"]);
  EXPECT_THAT(ranges, testing::ElementsAre("", "bytes=100000-", "bytes=200000-"));
}

TEST_F(HubModel, GoesOnInAnotherProcessThenVerifies) {
  const std::string bytes = many_bytes(300000);
  hub_.put_model("tiny", bytes);
  hub_.faults({{{"on", "content"}, {"drop", 100000}, {"times", 1}}, {{"on", "content"}, {"status", 404}, {"skip", 1}}});
  EXPECT_THAT(refused(), HasSubstr("404"));
  const fs::path part = only_blob(hub_, ".incomplete");
  EXPECT_EQ(fs::file_size(part), 100000u);
  EXPECT_FALSE(fs::exists(hub_.cache() / "models--tiny/refs/main"));
  hub_.faults(Json::array());
  EXPECT_EQ(content_of(fetch() / "model.safetensors"), bytes);
  EXPECT_EQ(hub_.requests().back()["range"], "bytes=100000-");
  EXPECT_FALSE(fs::exists(part));
}

TEST_F(HubModel, AWrongBeginningIsFoundAndFetchedAnew) {
  const std::string bytes = many_bytes(300000);
  hub_.put_model("tiny", bytes);
  hub_.faults({{{"on", "content"}, {"drop", 100000}, {"times", 1}}, {{"on", "content"}, {"status", 404}, {"skip", 1}}});
  refused();
  { std::fstream(only_blob(hub_, ".incomplete")) << "something else"; }
  hub_.faults(Json::array());
  EXPECT_EQ(content_of(fetch() / "model.safetensors"), bytes);
}

TEST_F(HubModel, AWholeAnswerInPlaceOfARangeStartsOver) {
  const std::string bytes = many_bytes(300000);
  hub_.put_model("tiny", bytes);
  hub_.faults({{{"on", "content"}, {"drop", 100000}, {"times", 1}}, {{"on", "content"}, {"ignore_range", true}}});
  EXPECT_EQ(content_of(fetch() / "model.safetensors"), bytes);
}

TEST_F(HubModel, AWrongRangeStartsOver) {
  const std::string bytes = many_bytes(300000);
  hub_.put_model("tiny", bytes);
  hub_.faults({{{"on", "content"}, {"drop", 100000}, {"times", 1}},
               {{"on", "content"}, {"headers", {{"Content-Range", "bytes 5-299999/300000"}}}, {"skip", 1}, {"times", 1}}});
  EXPECT_EQ(content_of(fetch() / "model.safetensors"), bytes);
}

TEST_F(HubModel, CorruptedBytesAreNeverUsed) {
  const std::string bytes = many_bytes(300000);
  hub_.put_model("tiny", bytes);
  hub_.faults({{{"on", "content"}, {"corrupt", 1234}, {"times", 1}}});
  EXPECT_EQ(content_of(fetch() / "model.safetensors"), bytes);
  fs::remove_all(hub_.cache());
  hub_.faults({{{"on", "content"}, {"corrupt", 1235}}});
  EXPECT_THAT(refused(), testing::AllOf(HasSubstr("bytes whose sha256 is"), HasSubstr("twice")));
  EXPECT_EQ(only_blob(hub_, ".incomplete"), fs::path());
  fs::remove_all(hub_.cache());
  hub_.faults({{{"path", "config.json"}, {"corrupt", 0}}});
  EXPECT_THAT(refused(), HasSubstr("bytes whose git sha1 is 9e26dfeeb6e641a33dae4961196235bdb965b21b"));
  EXPECT_FALSE(fs::exists(hub_.cache() / "models--tiny/snapshots"));
}

TEST_F(HubModel, WrongSizesAreNeverUsed) {
  hub_.put_model("tiny", many_bytes(5000));
  hub_.faults({{{"on", "content"}, {"append", "more"}}});
  EXPECT_THAT(refused(), HasSubstr("expected 5000 bytes, received more"));
  fs::remove_all(hub_.cache());
  hub_.faults({{{"on", "hub"}, {"path", "model.safetensors"}, {"headers", {{"X-Linked-Size", "6000"}}}}});
  EXPECT_THAT(refused(), HasSubstr("received "));
  EXPECT_FALSE(fs::exists(hub_.cache() / "models--tiny/refs"));
}

TEST_F(HubModel, PassingTroubleIsWaitedFor) {
  hub_.put_model();
  hub_.faults({{{"path", "config.json"}, {"status", 503}, {"times", 2}},
               {{"path", "tokenizer.json"}, {"status", 429}, {"headers", {{"Retry-After", "0"}}}, {"times", 2}},
               {{"on", "content"}, {"status", 500}, {"times", 3}}});
  EXPECT_EQ(content_of(fetch() / "model.safetensors"), "weights");
}

TEST_F(HubModel, RetryAfterIsKeptOrTooLong) {
  hub_.put_model();
  hub_.faults({{{"path", "tokenizer.json"}, {"status", 429}, {"headers", {{"Retry-After", "1"}}}, {"times", 1}}});
  fetch();
  std::vector<double> times;
  for (const Json& request : hub_.requests())
    if (request["path"].get<std::string>().ends_with("/tokenizer.json")) times.push_back(request["time"]);
  ASSERT_GE(times.size(), 2u);
  EXPECT_GE(times[1] - times[0], 0.95);
  fs::remove_all(hub_.cache());
  hub_.faults({{{"path", "tokenizer.json"}, {"status", 429}, {"headers", {{"Retry-After", "3600"}}}}});
  EXPECT_THAT(refused(), testing::AllOf(HasSubstr("too many requests"), HasSubstr("3600"), HasSubstr("HF_TOKEN")));
}

TEST_F(HubModel, LastingTroubleEndsInBoundedAttempts) {
  hub_.put_model();
  hub_.faults({{{"path", "tokenizer.json"}, {"status", 502}}});
  EXPECT_THAT(refused(), testing::AllOf(HasSubstr("502"), HasSubstr("try later")));
  EXPECT_EQ(hub_.count("HEAD", "/tokenizer.json"), 5u);
  hub_.faults({{{"on", "content"}, {"drop", 0}}});
  EXPECT_THAT(refused(), HasSubstr("expected an answer"));
  EXPECT_EQ(hub_.count("GET", "", "content"), 5u);
}

TEST_F(HubModel, ASlowDripEnds) {
  hub_.put_model("tiny", many_bytes(50000));
  HubOptions options = hub_.options();
  options.attempts = 2;
  options.stall = 1;
  hub_.faults({{{"on", "content"}, {"drip", 10}}});
  EXPECT_THAT(error_of(Code::io, [&] { fetch_model(options, "tiny", revision); }), HasSubstr("too slow"));
  EXPECT_EQ(hub_.count("GET", "", "content"), 2u);
}

TEST_F(HubModel, ErrorsNameTheRemedy) {
  hub_.put_model();
  HubOptions options = hub_.options();
  const auto said = [&](const std::string& name) { return error_of(Code::io, [&] { fetch_model(options, name, revision); }); };
  EXPECT_THAT(said("nowhere"),
              testing::AllOf(HasSubstr("none of that name, or a private one (401"), HasSubstr("--model_name_or_path FOLDER")));
  hub_.access({{"tiny", {{"token", "hf_right"}, {"gated", true}}}});
  EXPECT_THAT(said("tiny"), testing::AllOf(HasSubstr("gated"), HasSubstr("accept its terms at " + hub_.endpoint + "/tiny"),
                                           HasSubstr("HF_TOKEN")));
  options.token = "hf_wrong";
  EXPECT_THAT(said("tiny"), HasSubstr("with the account of your token"));
  hub_.access({{"tiny", {{"token", "hf_right"}}}});
  EXPECT_THAT(said("tiny"), HasSubstr("expected a valid token"));
  options.token = "hf_right";
  EXPECT_NO_THROW(fetch_model(options, "tiny", revision));
  fs::remove_all(hub_.cache());
  hub_.faults({{{"status", 403}, {"headers", {{"X-Error-Message", "no\x1b[31m"}}}}});
  EXPECT_THAT(said("tiny"), testing::AllOf(HasSubstr("403"), HasSubstr("lacks it"), testing::Not(HasSubstr("\x1b"))));
  hub_.faults({{{"status", 200}, {"headers", {{"ETag", "\"a\""}}}}});
  EXPECT_THAT(said("tiny"), HasSubstr("X-Repo-Commit"));
}

TEST_F(HubModel, TheTokenStaysAtTheEndpoint) {
  hub_.put_model();
  HubOptions options = hub_.options();
  options.token = "hf_secret";
  // large files go there anyway; here a small one, and a HEAD, do too
  hub_.faults({{{"on", "hub"}, {"path", "/config.json"}, {"method", "GET"}, {"redirect", "CONTENT/models/tiny/config.json"}},
               {{"on", "hub"},
                {"path", "/vocab.txt"},
                {"redirect", "CONTENT/models/tiny/config.json"},
                {"headers", {{"X-Repo-Commit", "6ee821a657dd138a431517ff8b269616d8130dc2"}}}}});
  fetch_model(options, "tiny", revision);
  for (const Json& request : hub_.requests()) {
    const bool hub = request["on"] == "hub";
    EXPECT_EQ(request["authorization"], hub ? Json("Bearer hf_secret") : Json());
  }
  EXPECT_EQ(hub_.count("GET", "", "content"), 2u);  // vocab.txt has the bytes of config.json, which are there
  EXPECT_EQ(hub_.count("HEAD", "config.json", "content"), 1u);
}

TEST_F(HubModel, ARenamedRepositoryIsFollowed) {
  hub_.put_model("new/name");
  hub_.renamed("tiny", "new/name");
  HubOptions options = hub_.options();
  options.token = "hf_secret";
  EXPECT_EQ(content_of(fetch_model(options, "tiny", revision) / "model.safetensors"), "weights");
  EXPECT_TRUE(fs::exists(hub_.cache() / "models--tiny"));
  for (const Json& request : hub_.requests()) EXPECT_EQ(request["authorization"].is_null(), request["on"] == "content");
}

TEST_F(HubModel, RedirectsAreBounded) {
  hub_.put_model();
  hub_.faults({{{"redirect", "/tiny/resolve/main/config.json"}}});
  EXPECT_THAT(refused(), HasSubstr("redirects"));
  hub_.faults({{{"redirect", "file:///etc/passwd"}}});
  EXPECT_THAT(refused(), HasSubstr("file:///etc/passwd"));
}

TEST_F(HubModel, WithoutAnAnswerTheCacheServes) {
  hub_.put_model();
  const fs::path folder = fetch();
  hub_.faults({{{"status", 503}}});
  EXPECT_EQ(fetch(), folder);
  HubOptions options = hub_.options();
  options.endpoint = "http://127.0.0.1:9";
  EXPECT_EQ(fetch_model(options, "tiny", revision), folder);
  check_hub_model(options, "tiny", revision);
}

TEST_F(HubModel, WithoutAnAnswerAndACacheItSaysSoAtOnce) {
  HubOptions options = hub_.options();
  options.endpoint = "http://127.0.0.1:9";
  options.contact = HubOptions().contact;
  options.answer = options.pause = 3600;  // any other wait than for the first contact outlasts the test
  const std::string said = error_of(Code::io, [&] { check_hub_model(options, "tiny", revision); });
  EXPECT_THAT(said, testing::AllOf(HasSubstr("http://127.0.0.1:9"), HasSubstr(options.cache.string()),
                                   HasSubstr("--model_name_or_path FOLDER")));
  options.endpoint = "http://192.0.2.1";  // a network that answers nothing
  const auto reason = [](const std::string& message) { return message.substr(message.find("received no answer (")); };
  const std::string first = error_of(Code::io, [&] { check_hub_model(options, "tiny", revision); });
  const std::string second = error_of(Code::io, [&] { check_hub_parquet(options, {"a/b", "c", "d"}); });
  EXPECT_EQ(reason(first).substr(0, reason(first).find(')')), reason(second).substr(0, reason(second).find(')')));
  options.offline = true;
  EXPECT_THAT(error_of(Code::io, [&] { fetch_model(options, "tiny", revision); }), HasSubstr("HF_HUB_OFFLINE"));
  EXPECT_FALSE(fs::exists(options.cache));
}

TEST_F(HubModel, AFolderThatCannotBeWrittenIsNamedFirst) {
  hub_.put_model();
  HubOptions options = hub_.options();
  hub_.put("file", "no folder");
  options.cache = hub_.cache().parent_path() / "file/cache";
  EXPECT_THAT(error_of(Code::io, [&] { check_hub_model(options, "tiny", revision); }),
              testing::AllOf(HasSubstr("file/cache"), HasSubstr("HF_HUB_CACHE")));
  EXPECT_EQ(hub_.count(""), 0u);
}

TEST_F(HubModel, TwoAtOnceBothSucceed) {
  hub_.put_model("tiny", many_bytes(300000));
  hub_.faults({{{"on", "content"}, {"drip", 30000}}});
  std::vector<std::thread> threads;
  std::vector<std::string> found(4);
  for (std::string& each : found) threads.emplace_back([&] { each = content_of(fetch() / "model.safetensors"); });
  for (std::thread& thread : threads) thread.join();
  for (const std::string& each : found) EXPECT_EQ(each, many_bytes(300000));
  EXPECT_EQ(hub_.count("GET", "", "content"), 1u);
}

TEST_F(HubModel, WaitsForAFlockOfAnotherProcess) {
  hub_.put_model();
  fetch();
  fs::remove_all(hub_.cache() / "models--tiny");
  const fs::path lock = hub_.cache() / ".locks/models--tiny/9e26dfeeb6e641a33dae4961196235bdb965b21b.lock";
  const int held = ::open(lock.c_str(), O_RDWR);
  ASSERT_EQ(::flock(held, LOCK_EX), 0);
  std::thread release([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    EXPECT_FALSE(fs::exists(hub_.cache() / "models--tiny/blobs/9e26dfeeb6e641a33dae4961196235bdb965b21b"));
    ::close(held);
  });
  fetch();
  release.join();
}

}  // namespace
}  // namespace dept
