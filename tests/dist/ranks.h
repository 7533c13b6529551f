// Runs a function as N ranks, each a process of its own, joined over 127.0.0.1.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <vector>

#include "dept/dist/group.h"

namespace dept {

inline uint16_t free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  EXPECT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size), 0);
  ::close(socket);
  return ntohs(address.sin_port);
}

/// Exit codes of the ranks; `body` returns one. An exception is 99 and its message on stderr. A rank that takes over 60 s is
/// killed.
inline std::vector<int> run_ranks(int64_t size, const std::function<int(const RankInfo&)>& body) {
  RankInfo info;
  info.size = size;
  info.master_address = "127.0.0.1";
  info.master_port = free_port();
  std::vector<pid_t> children;
  for (info.rank = 0; info.rank < size; ++info.rank) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(60);
      ::signal(SIGPIPE, SIG_IGN);  // as join_group asks
      int code = 99;
      try {
        code = body(info);
      } catch (const std::exception& error) {
        std::fprintf(stderr, "rank %d: %s\n", static_cast<int>(info.rank), error.what());
      }
      std::fflush(nullptr);
      ::_exit(code);
    }
    children.push_back(child);
  }
  std::vector<int> codes;
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    codes.push_back(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  }
  return codes;
}

}  // namespace dept
