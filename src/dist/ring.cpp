#include "dist/ring.h"

#include <ATen/ops/empty.h>

#include <cstring>
#include <ctime>
#include <stdexcept>

#include "dept/base/text.h"

namespace dept {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int tag = 0x72696e67;  // "ring": of no collective operation
constexpr auto tick_length = milliseconds(100), life_every = milliseconds(1000);
constexpr auto most_between_ticks = milliseconds(5000);
constexpr auto grace = milliseconds(4000);  // in which the working thread may come to an operation, or to its own end
constexpr double idle_share = 0.02;         // of a CPU: less is no work

double process_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace

Ring::Ring(c10d::ProcessGroupGloo& group, const RankInfo& info, milliseconds timeout, RankHooks hooks)
    : group_(group),
      info_(info),
      next_((info.rank + 1) % info.size),
      previous_((info.rank + info.size - 1) % info.size),
      timeout_(timeout),
      hooks_(std::move(hooks)),
      cpu_(process_seconds()) {
  listener_ = std::thread([this] { listen(); });
  speaker_ = std::thread([this] { speak(); });
  ticker_ = std::thread([this] { tick(); });
}

Ring::~Ring() {
  {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, grace, [this] { return queue_is_empty(); });  // last words
    ending_ = true;
    for (const auto& work : {receiving_, being_sent_})
      if (work) work->abort();
  }
  changed_.notify_all();
  for (std::thread* thread : {&listener_, &speaker_, &ticker_}) thread->join();
}

// Hears the next rank, until it says farewell or somebody is gone.
void Ring::listen() {
  std::optional<Message> end;
  while (!end) {
    try {
      const Message message = receive();
      if (message.kind != Kind::life) end = message;
      if (message.signal != 0) note_signal(message.signal);
    } catch (const std::exception&) {
      end = about(Kind::death, next_);
    }
  }
  {
    const std::lock_guard lock(mutex_);
    listening_ = false;
  }
  changed_.notify_all();
  if (end->kind != Kind::farewell) conclude(*end);
}

// Without a time limit of Gloo's: one that is over closes the connections to all others too.
Ring::Message Ring::receive() {
  Message message;
  std::vector<at::Tensor> buffer{at::empty({static_cast<int64_t>(sizeof message)}, at::kByte)};
  c10::intrusive_ptr<c10d::Work> work;
  {
    const std::lock_guard lock(mutex_);
    if (ending_) throw std::runtime_error("the ring ends");
    work = receiving_ = group_.recv(buffer, static_cast<int>(next_), tag);
  }
  if (!work->wait(for_ever)) throw std::runtime_error("the ring ends");
  {
    const std::lock_guard lock(mutex_);
    heard_ = Clock::now();
  }
  std::memcpy(&message, buffer[0].const_data_ptr<uint8_t>(), sizeof message);
  return message;
}

// To the rank before, in order. One that is gone does not hear it, and is not this rank's to look after.
void Ring::speak() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return ending_ || !outgoing_.empty(); });
    if (ending_) return;
    const Message message = outgoing_.front();
    outgoing_.pop_front();
    sending_ = true;
    lock.unlock();
    try {
      send(message);
    } catch (const std::exception&) {
    }
    lock.lock();
    sending_ = false;
    changed_.notify_all();
  }
}

void Ring::send(const Message& message) {
  std::vector<at::Tensor> buffer{at::empty({static_cast<int64_t>(sizeof message)}, at::kByte)};
  std::memcpy(buffer[0].data_ptr<uint8_t>(), &message, sizeof message);
  c10::intrusive_ptr<c10d::Work> work;
  {
    const std::lock_guard lock(mutex_);
    if (ending_) return;
    work = being_sent_ = group_.send(buffer, static_cast<int>(previous_), tag);
  }
  work->wait(for_ever);
}

void Ring::tick() {
  Clock::time_point ticked = Clock::now(), lived = ticked;
  for (std::unique_lock lock(mutex_); !changed_.wait_for(lock, tick_length, [this] { return ending_; });) {
    const Clock::time_point now = Clock::now();
    if (now - ticked > most_between_ticks) heard_ = lived = now;  // this process was stopped, and perhaps the whole job
    ticked = now;
    const bool life_is_due = now - lived >= life_every, hangs = listening_ && now - heard_ >= timeout_;
    if (life_is_due && queue_is_empty()) {
      outgoing_.push_back({});
      changed_.notify_all();
    }
    lock.unlock();
    if (hangs) conclude(about(Kind::hang, next_));
    if (const int signal = hooks_.signal ? hooks_.signal() : 0; signal != 0) note_signal(signal);
    if (life_is_due) look_at_work(std::chrono::duration<double>(now - lived).count());
    if (life_is_due) lived = now;
    lock.lock();
  }
}

// Once: on to the others first, as the hook may end the process.
void Ring::note_signal(int signal) {
  {
    std::unique_lock lock(mutex_);
    if (signal_ != 0 || leaving_ || ending_) return;
    signal_ = signal;
    Message message;
    message.signal = signal;
    outgoing_.push_back(message);
    changed_.notify_all();
    changed_.wait_for(lock, grace, [this] { return ending_ || queue_is_empty(); });
  }
  if (hooks_.interrupted) hooks_.interrupted(signal);
}

// A rank that trains and neither waits for others nor uses its CPUs has stopped working.
void Ring::look_at_work(double seconds) {
  const double used = process_seconds() - cpu_;
  cpu_ += used;
  {
    const std::lock_guard lock(mutex_);
    const bool idle = busy_ && step_ > 0 && used < idle_share * seconds;
    idle_ = idle ? idle_ + seconds : 0;
  }
  if (std::chrono::duration<double>(idle_) >= timeout_) conclude(about(Kind::hang, info_.rank));
}

// The first that is heard of an end counts.
void Ring::conclude(const Message& message) {
  {
    std::unique_lock lock(mutex_);
    if (verdict_ || leaving_ || ending_) return;
    verdict_ = message;
    outgoing_.push_back(message);
    changed_.notify_all();
    // An error of one rank may be one of all, of which the working thread is about to hear by itself.
    const bool may_end_alike = message.kind == Kind::failure;
    const bool is_last = message.rank == previous_;  // of those that hear of it
    changed_.wait_for(lock, may_end_alike ? grace / 2 : grace,
                      [&] { return ending_ || (!may_end_alike && !busy_ && (is_last || queue_is_empty())); });
    if (ending_) return;
  }
  if (hooks_.lost) hooks_.lost(error_of(message));
}

void Ring::set_busy(bool busy) {
  {
    const std::lock_guard lock(mutex_);
    busy_ = busy;
  }
  changed_.notify_all();
}

Error Ring::why(const std::string& otherwise) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, 2 * grace, [this] { return verdict_.has_value(); });
  if (!verdict_) return {Code::io, otherwise};
  if (hooks_.lost) changed_.wait_for(lock, 2 * grace, [] { return false; });  // the hook ends the process
  return error_of(*verdict_);
}

void Ring::require_all() {
  {
    const std::lock_guard lock(mutex_);
    if (!verdict_) return;
  }
  throw why("");
}

void Ring::fail(const Error& error) {
  std::unique_lock lock(mutex_);
  if (verdict_ || leaving_) return;
  Message message = about(Kind::failure, info_.rank);
  message.code = static_cast<int32_t>(error.code());
  const std::string_view what = error.what();
  what.copy(message.text.data(), message.text.size() - 1);
  verdict_ = message;
  outgoing_.push_back(message);
  changed_.notify_all();
  changed_.wait_for(lock, grace, [this] { return queue_is_empty(); });
}

void Ring::leave() {
  std::unique_lock lock(mutex_);
  leaving_ = true;
  outgoing_.push_back(about(Kind::farewell, info_.rank));
  changed_.notify_all();
  changed_.wait_for(lock, grace, [this] { return !listening_ && queue_is_empty(); });
}

Ring::Message Ring::about(Kind kind, int64_t rank) const {
  Message message;
  message.kind = kind;
  message.rank = static_cast<int32_t>(rank);
  message.step = step_;
  return message;
}

Error Ring::error_of(const Message& message) const {
  const std::string at_step = str(" at step ", message.step), rank = str("rank ", message.rank);
  std::string received = rank + " gone" + at_step;
  if (message.kind == Kind::hang)
    received = str("no sign of work from ", rank, " for ", static_cast<double>(timeout_.count()) / 1000, " s", at_step);
  if (message.kind == Kind::failure) received = str("the end of ", rank, at_step, ": ", message.text.data());
  const Code code = message.kind == Kind::failure ? static_cast<Code>(message.code) : Code::io;
  return {code, str("[ranks] expected all ", info_.size, " to go on, received ", received)};
}

}  // namespace dept
