// Requests come, wait, leave and are refused; adapters come and go.
#include <atomic>
#include <thread>

#include "unit/serve/tiny_engine.h"

namespace dept::serve {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

/// Holds the engine's thread in a request's first token until it is opened.
class Gate {
 public:
  std::function<void(const Delta&)> hold() {
    return [this](const Delta&) {
      if (reached_done_.exchange(true)) return;
      reached_.set_value();
      opened_.get_future().wait();
    };
  }
  void wait() { reached_.get_future().wait(); }
  void open() { opened_.set_value(); }

 private:
  std::promise<void> reached_, opened_;
  std::atomic<bool> reached_done_ = false;
};

class EngineTest : public testing::Test {
 protected:
  EngineTest() : model_("llama-gqa-tied") {
    AdapterOptions adapter;
    adapter.prefix_length = 3;
    adapter.r = 2;
    data_.max_seq_length = 16;
    model_.adapter("one", adapter, data_);
  }
  Refusal refusal_of(Engine& engine, CompletionRequest request, const std::string& param) {
    try {
      engine.complete(std::move(request), {});
    } catch (const RequestError& error) {
      EXPECT_EQ(error.param(), param) << error.what();
      return error.refusal();
    }
    ADD_FAILURE() << "nothing was refused";
    return Refusal::draining;
  }

  DataOptions data_;
  TinyModel model_;
};

CompletionRequest film(const std::string& model, int64_t tokens) {
  return greedy(model, "a fine film", tokens);
}

TEST_F(EngineTest, ListsTheBaseAndItsAdapters) {
  Engine engine(model_.options);
  EXPECT_EQ(engine.base(), "model");
  engine.add_adapter("zeta", model_.folder() / "one");
  engine.add_adapter("alpha", model_.folder() / "one");
  const std::vector<ModelEntry> models = engine.models();
  ASSERT_EQ(models.size(), 3);
  EXPECT_EQ(models[0].id, "model");
  EXPECT_EQ(models[0].parent, "");
  EXPECT_EQ(models[1].id, "alpha");
  EXPECT_EQ(models[1].parent, "model");
  EXPECT_EQ(models[1].root, (model_.folder() / "one").string());
  EXPECT_EQ(models[1].soft_prompt, 3);
  EXPECT_FALSE(models[1].classifies);
  EXPECT_EQ(models[2].id, "zeta");
  EXPECT_FALSE(engine.model("beta"));
}

TEST_F(EngineTest, ACancelledRequestFreesItsPlaceWithinAStep) {
  std::vector<RequestFigures> figures;
  EngineOptions options;
  options.max_running = 1;
  Engine engine(model_.options, options, {[&](const RequestFigures& each) { figures.push_back(each); }});
  Gate gate;
  std::atomic<int> calls = 0;
  const RequestId first =
      engine.complete(film("model", 60), {gate.hold(), [&](const Completion&) { ++calls; }, [&](const Error&) { ++calls; }});
  gate.wait();
  const Answer<Completion> second = ask(engine, greedy("model", "dull", 3));
  EXPECT_EQ(engine.load().running, 1);
  EXPECT_EQ(engine.load().queued, 1);
  engine.cancel(first);
  gate.open();
  EXPECT_EQ(second.get().choices.size(), 1);
  ASSERT_TRUE(engine.drain(10s));
  EXPECT_EQ(calls, 0);
  ASSERT_EQ(figures.size(), 2);
  EXPECT_EQ(figures[0].outcome, Outcome::cancelled);
  EXPECT_EQ(figures[0].usage.completion_tokens, 1);
  EXPECT_EQ(figures[1].outcome, Outcome::done);
  EXPECT_EQ(figures[1].batch_size, 1);
}

TEST_F(EngineTest, ACancelledRequestThatWaitsIsNeverComputed) {
  EngineOptions options;
  options.max_running = 1;
  Engine engine(model_.options, options);
  Gate gate;
  const Answer<Completion> first = ask(engine, film("model", 5), gate.hold());
  gate.wait();
  std::atomic<int> calls = 0;
  const RequestId second = engine.complete(
      film("model", 5), {[&](const Delta&) { ++calls; }, [&](const Completion&) { ++calls; }, [&](const Error&) { ++calls; }});
  engine.cancel(second);
  engine.cancel(second + 100);
  gate.open();
  first.get();
  ASSERT_TRUE(engine.drain(10s));
  EXPECT_EQ(calls, 0);
}

TEST_F(EngineTest, ARequestJoinsThoseThatRunAndMayLeaveBefore) {
  std::vector<RequestFigures> figures;
  Engine engine(model_.options, {}, {[&](const RequestFigures& each) { figures.push_back(each); }});
  engine.add_adapter("one", model_.folder() / "one");
  Gate gate;
  const Answer<Completion> first = ask(engine, film("model", 40), gate.hold());
  gate.wait();
  const Answer<Completion> second = ask(engine, greedy("one", "dull", 1));
  gate.open();
  second.get();
  first.get();
  ASSERT_TRUE(engine.drain(10s));
  ASSERT_EQ(figures.size(), 2);
  EXPECT_EQ(figures[0].model, "one");
  EXPECT_EQ(figures[0].batch_size, 2);
  EXPECT_EQ(figures[0].usage.soft_prompt, 3);
  EXPECT_EQ(figures[1].batch_size, 2);
  EXPECT_GE(figures[1].seconds, *figures[1].first_token_seconds);
}

TEST_F(EngineTest, RequestsThatWaitHaveALimit) {
  EngineOptions options;
  options.max_running = 1;
  options.max_queue = 1;
  Engine engine(model_.options, options);
  Gate gate;
  const Answer<Completion> first = ask(engine, film("model", 5), gate.hold());
  gate.wait();
  const Answer<Completion> second = ask(engine, film("model", 2));
  EXPECT_EQ(refusal_of(engine, film("model", 2), ""), Refusal::queue_full);
  gate.open();
  first.get();
  second.get();
  ask(engine, film("model", 2)).get();
}

TEST_F(EngineTest, AnAdapterThatLeavesWaitsForItsRequests) {
  Engine engine(model_.options);
  engine.add_adapter("one", model_.folder() / "one");
  Gate gate;
  const Answer<Completion> running = ask(engine, film("one", 5), gate.hold());
  gate.wait();
  auto removed = std::async(std::launch::async, [&] { return engine.remove_adapter("one"); });
  while (engine.model("one")) std::this_thread::yield();
  EXPECT_EQ(refusal_of(engine, greedy("one", "a"), "model"), Refusal::unknown_model);
  EXPECT_NE(removed.wait_for(0s), std::future_status::ready);
  gate.open();
  EXPECT_TRUE(removed.get());
  EXPECT_EQ(running.future.wait_for(0s), std::future_status::ready);
  EXPECT_FALSE(engine.remove_adapter("one"));
  EXPECT_FALSE(engine.remove_adapter("model"));
  engine.add_adapter("one", model_.folder() / "one");
  ask(engine, greedy("one", "a")).get();
}

TEST_F(EngineTest, AReplacedAdapterIsThatOfLaterRequestsAlone) {
  AdapterOptions adapter;
  adapter.prefix_length = 5;
  adapter.r = 1;
  model_.adapter("other", adapter, data_);
  Engine engine(model_.options);
  engine.add_adapter("one", model_.folder() / "one");
  engine.add_adapter("other", model_.folder() / "other");
  CompletionRequest request = film("one", 5);
  request.logprobs = 0;
  const auto scores = [](const Answer<Completion>& answer) {
    std::vector<double> scores;
    for (const TokenLogprob& token : answer.get().choices.front().logprobs) scores.push_back(*token.logprob);
    return scores;
  };
  const std::vector<double> before = scores(ask(engine, request));
  Gate gate;
  const Answer<Completion> running = ask(engine, request, gate.hold());
  gate.wait();
  engine.replace_adapter("one", model_.folder() / "other");
  const Answer<Completion> later = ask(engine, request);
  request.model = "other";
  const Answer<Completion> other = ask(engine, request);
  gate.open();
  EXPECT_EQ(running.get().usage.soft_prompt, 3);
  EXPECT_THAT(scores(running), testing::Pointwise(testing::DoubleNear(1e-5), before));
  EXPECT_EQ(later.get().usage.soft_prompt, 5);
  EXPECT_THAT(scores(later), testing::Pointwise(testing::DoubleNear(1e-5), scores(other)));
  EXPECT_EQ(engine.model("one")->soft_prompt, 5);
  error_of(Code::io, [&] { engine.replace_adapter("one", model_.folder() / "nowhere"); });
  EXPECT_EQ(engine.model("one")->soft_prompt, 5);
  for (const char* none : {"two", "model"}) error_of(Code::usage, [&] { engine.replace_adapter(none, model_.folder() / "one"); });
  EXPECT_TRUE(engine.remove_adapter("one"));
}

TEST_F(EngineTest, RefusesBrokenAdaptersByName) {
  Engine engine(model_.options);
  const auto refused = [&](Code code, const fs::path& folder) {
    return error_of(code, [&] { engine.add_adapter("broken", folder); });
  };
  EXPECT_THAT(refused(Code::io, model_.folder() / "nowhere"), HasSubstr("nowhere"));
  fs::copy(model_.folder() / "one", model_.folder() / "cut");
  fs::resize_file(model_.folder() / "cut" / "adapter_model.safetensors", 100);
  EXPECT_THAT(refused(Code::bad_input, model_.folder() / "cut"), HasSubstr("cut"));
  const TinyModel wide("t5-v1.0");
  AdapterOptions adapter;
  adapter.prefix_length = 2;
  EXPECT_THAT(refused(Code::bad_input, wide.adapter("wide", adapter, {})), HasSubstr("wide"));
  EXPECT_FALSE(engine.model("broken"));
  engine.add_adapter("one", model_.folder() / "one");
  EXPECT_THAT(error_of(Code::usage, [&] { engine.add_adapter("one", model_.folder() / "one"); }), HasSubstr("\"one\""));
  EXPECT_THAT(error_of(Code::usage, [&] { engine.add_adapter("model", model_.folder() / "one"); }), HasSubstr("\"model\""));
  ask(engine, greedy("one", "a")).get();
}

TEST_F(EngineTest, RefusesWhatARequestMayNotAsk) {
  Engine engine(model_.options);
  engine.add_adapter("one", model_.folder() / "one");
  const auto changed = [](auto change) {
    CompletionRequest request = greedy("one", "a fine film");
    change(request);
    return request;
  };
  const auto invalid = [&](const std::string& param, auto change) {
    EXPECT_EQ(refusal_of(engine, changed(change), param), Refusal::invalid);
  };
  EXPECT_EQ(refusal_of(engine, greedy("two", "a"), "model"), Refusal::unknown_model);
  invalid("prompt", [](CompletionRequest& r) { r.prompts.clear(); });
  invalid("prompt", [](CompletionRequest& r) { r.prompts = {Ids{96}}; });
  invalid("prompt", [](CompletionRequest& r) { r.prompts = {Ids(17, 5)}; });  // the adapter has 16 rows
  invalid("prompt", [](CompletionRequest& r) {
    r.model = "model";
    r.prompts = {""};
  });
  invalid("max_tokens", [](CompletionRequest& r) { r.max_tokens = 0; });
  invalid("temperature", [](CompletionRequest& r) { r.temperature = -1; });
  invalid("top_p", [](CompletionRequest& r) { r.top_p = 1.5; });
  invalid("top_k", [](CompletionRequest& r) { r.top_k = -1; });
  invalid("repetition_penalty", [](CompletionRequest& r) { r.repetition_penalty = 0; });
  invalid("n", [](CompletionRequest& r) { r.n = 1000; });
  invalid("num_beams", [](CompletionRequest& r) { r.num_beams = 1000; });
  invalid("logprobs", [](CompletionRequest& r) { r.logprobs = 1000; });
  invalid("stop", [](CompletionRequest& r) { r.stop = {""}; });
  const CompletionRequest most = changed([](CompletionRequest& r) {
    r.prompts = {Ids(10, 5)};
    r.max_tokens = 128 - 3 - 10;
  });
  ask(engine, most).get();
  CompletionRequest more = most;
  ++more.max_tokens;
  EXPECT_EQ(refusal_of(engine, more, "prompt"), Refusal::context_length);
  const auto classify = [&](const std::string& name) {
    return error_of(Code::bad_input, [&] { engine.classify({name, {"a"}}, {}); });
  };
  EXPECT_THAT(classify("model"), HasSubstr("labels"));
  EXPECT_THAT(classify("one"), HasSubstr("labels"));
}

TEST_F(EngineTest, AnEmptyPromptGoesOnFromTheAdaptersOwn) {
  Engine engine(model_.options);
  engine.add_adapter("one", model_.folder() / "one");
  const Answer<Completion> first = ask(engine, greedy("one", ""));
  GenerationOptions options;
  options.max_new_tokens = 8;
  const auto expected = generate_alone(model_.alone("one"), {""}, options);
  EXPECT_EQ(first.get().choices[0].ids, expected[0][0].ids);
  EXPECT_EQ(ask(engine, greedy("one", "")).get().choices[0].ids, expected[0][0].ids);
}

TEST_F(EngineTest, WhatIsLargerThanTheCacheFailsAndTheRestGoesOn) {
  EngineOptions options;
  options.cache_bytes = 16 * 1024;  // 64 tokens
  Engine engine(model_.options, options);
  const Answer<Completion> large = ask(engine, film("model", 110));
  EXPECT_THAT(error_of(Code::resource, [&] { large.get(); }), HasSubstr("cache_bytes"));
  EXPECT_EQ(ask(engine, film("model", 3)).get().choices.size(), 1);
}

TEST_F(EngineTest, DrainsAndThenTakesNothing) {
  Engine engine(model_.options);
  Gate gate;
  const Answer<Completion> running = ask(engine, film("model", 5), gate.hold());
  gate.wait();
  EXPECT_FALSE(engine.drain(1ms));
  EXPECT_EQ(refusal_of(engine, film("model", 5), ""), Refusal::draining);
  gate.open();
  EXPECT_TRUE(engine.drain(10s));
  EXPECT_EQ(running.future.wait_for(0s), std::future_status::ready);
}

TEST_F(EngineTest, ItsEndIsTheEndOfItsRequests) {
  Gate gate;
  auto engine = std::make_unique<Engine>(model_.options);
  const Answer<Completion> running = ask(*engine, film("model", 60), gate.hold());
  gate.wait();
  std::thread opener([&] { gate.open(); });
  engine.reset();
  opener.join();
  EXPECT_EQ(running.future.wait_for(0s), std::future_status::ready);
}

TEST(EngineOfT5, RefusesToEchoASource) {
  const TinyModel model("t5-v1.0");
  Engine engine(model.options);
  CompletionRequest request = greedy("model", "a fine film");
  request.echo = true;
  try {
    engine.complete(request, {});
    FAIL();
  } catch (const RequestError& error) {
    EXPECT_EQ(error.param(), "echo");
  }
}

TEST(EngineOfAnEncoder, IsNone) {
  const TinyModel model("bert");
  EXPECT_THAT(error_of(Code::usage, [&] { Engine engine(model.options); }), HasSubstr("writes text"));
}

}  // namespace
}  // namespace dept::serve
