// How ranks hear of each other's end: each listens to the next one and speaks to the one before, by messages over Gloo. A closed
// connection is a death, silence for the timeout a hang; what is said of either goes around the ring within moments.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "dept/dist/group.h"

namespace dept {

/// How long a collective waits: the ring tells a rank that works for long from one that is gone.
inline constexpr auto for_ever = std::chrono::hours(24 * 365);

class Ring {
 public:
  /// The group is joined, and outlives the ring.
  Ring(c10d::ProcessGroupGloo& group, const RankInfo& info, std::chrono::milliseconds timeout, RankHooks hooks);
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  /// For the thread that works: it is in a group operation from here to the end of the object.
  class Operation {
   public:
    explicit Operation(Ring& ring) : ring_(ring) { ring_.set_busy(false); }
    ~Operation() { ring_.set_busy(true); }
    Operation(const Operation&) = delete;
    Operation& operator=(const Operation&) = delete;

   private:
    Ring& ring_;
  };

  void at_step(int64_t step) { step_ = step; }

  /// What is known of an operation that failed, once the ring knows it, or `otherwise`. With a hook for lost ranks that ends the
  /// process it does not return.
  Error why(const std::string& otherwise);

  /// Throws what why() returns if somebody is known to be gone.
  void require_all();

  /// Tells the others that this rank ends by an error.
  void fail(const Error& error);
  /// All ranks are done: nobody's end is a loss any more.
  void leave();

 private:
  enum class Kind : int32_t { life, death, hang, failure, farewell };
  struct Message {
    Kind kind = Kind::life;
    int32_t rank = 0;    // that is gone
    int32_t code = 0;    // of a failure
    int32_t signal = 0;  // that asks this run to end
    int64_t step = 0;
    std::array<char, 488> text{};  // of a failure
  };

  void listen();
  void speak();
  void tick();
  Message receive();
  void send(const Message& message);
  bool queue_is_empty() const { return outgoing_.empty() && !sending_; }
  void note_signal(int signal);
  void conclude(const Message& message);
  void look_at_work(double seconds);
  void set_busy(bool busy);
  Message about(Kind kind, int64_t rank) const;
  Error error_of(const Message& message) const;

  c10d::ProcessGroupGloo& group_;
  const RankInfo info_;
  const int64_t next_;      // the rank that this one listens to
  const int64_t previous_;  // the rank that listens to this one
  const std::chrono::milliseconds timeout_;
  const RankHooks hooks_;
  std::atomic<int64_t> step_{0};

  std::mutex mutex_;  // of all that follows
  std::condition_variable changed_;
  std::deque<Message> outgoing_;
  bool sending_ = false, listening_ = true;
  bool busy_ = true;                                                                // the working thread is between operations
  bool leaving_ = false;                                                            // all ranks are done
  bool ending_ = false;                                                             // the object goes
  int signal_ = 0;                                                                  // that the others were told of
  std::chrono::steady_clock::time_point heard_ = std::chrono::steady_clock::now();  // the next rank
  std::optional<Message> verdict_;
  c10::intrusive_ptr<c10d::Work> receiving_, being_sent_;

  double cpu_, idle_ = 0;  // seconds, of the ticking thread: of this process, and since the working thread did anything
  std::thread listener_, speaker_, ticker_;
};

}  // namespace dept
