#include "dept/dist/start.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dist/meeting.h"

namespace dept {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* parent_variable = "DEPT_RANKS_PARENT";
constexpr auto look_every = std::chrono::milliseconds(20);
constexpr auto most_after_an_end = std::chrono::seconds(6);         // ranks hear of an end by themselves
constexpr auto most_after_an_interrupt = std::chrono::seconds(60);  // they save and leave together

// A listening socket on 127.0.0.1 that the processes to come do not inherit.
int listen_on_loopback() {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (socket < 0 || ::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(socket, 2048) != 0)
    fail(Code::resource, "--ranks", "a socket on 127.0.0.1", std::strerror(errno));
  return socket;
}

uint16_t port_of(int socket) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

c10::intrusive_ptr<c10d::TCPStore> serve_store(int socket) {
  c10d::TCPStoreOptions options;
  options.isServer = true;
  options.waitWorkers = false;
  options.port = port_of(socket);
  options.masterListenFd = socket;
  return c10::make_intrusive<c10d::TCPStore>("127.0.0.1", options);
}

// Arguments or an environment as exec takes them, made before the fork: behind it little is allowed.
class Words {
 public:
  explicit Words(std::vector<std::string> words) : words_(std::move(words)) {
    for (std::string& word : words_) pointers_.push_back(word.data());
    pointers_.push_back(nullptr);
  }
  char** data() { return pointers_.data(); }

 private:
  std::vector<std::string> words_;
  std::vector<char*> pointers_;
};

std::vector<std::string> environment_of(int64_t rank, int64_t count, uint16_t port) {
  std::vector<std::string> mine = {str("RANK=", rank),
                                   str("WORLD_SIZE=", count),
                                   str("LOCAL_RANK=", rank),
                                   str("LOCAL_WORLD_SIZE=", count),
                                   "MASTER_ADDR=127.0.0.1",
                                   str("MASTER_PORT=", port),
                                   "TORCHELASTIC_USE_AGENT_STORE=True",
                                   "TORCHELASTIC_RESTART_COUNT=0",
                                   str(parent_variable, "=", ::getpid())};
  const auto name_of = [](std::string_view setting) { return setting.substr(0, setting.find('=') + 1); };
  const size_t own = mine.size();
  for (char** setting = environ; *setting != nullptr; ++setting)
    if (std::none_of(mine.begin(), mine.begin() + static_cast<ptrdiff_t>(own),
                     [&](const std::string& other) { return name_of(other) == name_of(*setting); }))
      mine.emplace_back(*setting);
  return mine;
}

pid_t start(int64_t rank, char** arguments, char** environment) {
  const pid_t parent = ::getpid(), child = ::fork();
  if (child != 0) return child;
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(static_cast<int>(Code::io));
  if (rank > 0) {
    const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (nothing >= 0) ::dup2(nothing, STDIN_FILENO);
  }
  ::execve("/proc/self/exe", arguments, environment);
  ::_exit(static_cast<int>(Code::resource));
}

struct Child {
  pid_t pid = -1;
  std::optional<int> status;  // of waitpid, once it has ended
};

bool ended_well(int status) {
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool was_interrupted(int status) {
  return WIFEXITED(status) && WEXITSTATUS(status) > 128;
}

class Minder {
 public:
  /// `ended` is told the first rank that ends badly.
  Minder(const std::function<int()>& signal, std::function<void(size_t rank)> ended)
      : signal_(signal), ended_(std::move(ended)) {}
  ~Minder() {
    send(SIGKILL);
    for (Child& child : children_)
      if (!child.status) ::waitpid(child.pid, nullptr, 0);
  }
  Minder(const Minder&) = delete;
  Minder& operator=(const Minder&) = delete;

  void add(pid_t pid) { children_.push_back({pid, std::nullopt}); }

  RanksEnd wait() {
    bool passed_on = false;
    while (look()) {
      const int signal = signal_ ? signal_() : 0;
      if (signal != 0 && !passed_on) send(signal);
      passed_on = passed_on || signal != 0;
      if (first_bad_ &&
          Clock::now() - first_bad_at_ > (was_interrupted(*first_bad_) ? most_after_an_interrupt : most_after_an_end))
        send(SIGKILL);
      std::this_thread::sleep_for(look_every);
    }
    return end_;
  }

 private:
  // Takes note of those that have ended; whether any is left.
  bool look() {
    bool left = false;
    for (size_t rank = 0; rank < children_.size(); ++rank) {
      Child& child = children_[rank];
      if (child.status) continue;
      int status = 0;
      if (::waitpid(child.pid, &status, WNOHANG) != child.pid) {
        left = true;
        continue;
      }
      child.status = status;
      if (!ended_well(status)) note(rank, status);
    }
    return left;
  }

  void note(size_t rank, int status) {
    const bool first = !first_bad_;
    if (first) first_bad_ = status, first_bad_at_ = Clock::now(), ended_(rank);
    if (WIFSIGNALED(status) && first) {
      end_.code = static_cast<int>(Code::io);
      end_.why = str("[ranks] expected all ", children_.size(), " to go on, received rank ", rank, " ended by signal ",
                     WTERMSIG(status), " (", ::strsignal(WTERMSIG(status)), ")");
    } else if (WIFEXITED(status) && end_.why.empty() && (first || rank == 0)) {
      end_.code = WEXITSTATUS(status);
    }
  }

  void send(int signal) {
    for (const Child& child : children_)
      if (!child.status) ::kill(child.pid, signal);
  }

  const std::function<int()>& signal_;
  const std::function<void(size_t rank)> ended_;
  std::vector<Child> children_;
  std::optional<int> first_bad_;  // status
  Clock::time_point first_bad_at_;
  RanksEnd end_;
};

}  // namespace

RanksEnd start_ranks(int64_t count, const std::vector<std::string>& arguments, const std::function<int()>& signal) {
  const int socket = listen_on_loopback();
  const auto store = serve_store(socket);
  Words words(arguments);
  Minder minder(signal, [&](size_t rank) {  // for those that still wait for it
    c10::make_intrusive<c10d::PrefixStore>(meeting_prefix(0), store)->set(missing_key, str("rank ", rank, ", which has ended"));
  });
  for (int64_t rank = 0; rank < count; ++rank) {
    Words environment(environment_of(rank, count, port_of(socket)));
    const pid_t child = start(rank, words.data(), environment.data());
    if (child < 0) fail(Code::resource, "--ranks", str(count, " processes"), str(rank, ": ", std::strerror(errno)));
    minder.add(child);
  }
  return minder.wait();
}

bool started_by_parent() {
  const char* parent = std::getenv(parent_variable);
  return parent != nullptr && str(::getppid()) == parent;
}

}  // namespace dept
