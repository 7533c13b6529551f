// A folder of the test's own that is gone afterwards, and the message of the dept::Error that a call throws.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "dept/base/error.h"
#include "dept/base/file.h"
#include "dept/base/text.h"

namespace dept {

class Scratch {
 public:
  Scratch() {
    static int count = 0;
    path_ = fs::temp_directory_path() / str("dept-test-", ::getpid(), "-", count++);
    fs::create_directories(path_);
  }
  ~Scratch() { fs::remove_all(path_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  fs::path operator/(const std::string& name) const { return path_ / name; }
  const fs::path& path() const { return path_; }
  fs::path write(const std::string& name, std::string_view bytes) const {
    write_atomic(path_ / name, bytes);
    return path_ / name;
  }

 private:
  fs::path path_;
};

/// What `call` complains about; a test failure when it does not, or with another code.
template <class Call>
std::string error_of(Code code, Call call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

}  // namespace dept
