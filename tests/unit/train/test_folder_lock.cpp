#include <gmock/gmock.h>

#include "dept/train/folder_lock.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

using testing::HasSubstr;

TEST(FolderLock, SaysWhoHoldsIt) {
  const Scratch scratch;
  {
    const FolderLock first(scratch.path());
    const std::string message = error_of(Code::io, [&] { FolderLock second(scratch.path()); });
    EXPECT_THAT(message, HasSubstr(str("process ", ::getpid(), " on ")));
    EXPECT_THAT(message, HasSubstr(" since 20"));
    EXPECT_TRUE(fs::exists(scratch / ".lock"));
  }
  EXPECT_FALSE(fs::exists(scratch / ".lock"));
  const FolderLock third(scratch.path());
}

TEST(FolderLock, WhatAKilledProcessLeftKeepsNobodyOut) {
  const Scratch scratch;
  scratch.write(".lock", "process 1 on moon since ever\n");
  const FolderLock lock(scratch.path());
  EXPECT_THAT(read_file(scratch / ".lock"), HasSubstr(str("process ", ::getpid())));
}

TEST(FolderLock, MakesTheFolderAndTakesItBackWhileItIsEmpty) {
  const Scratch scratch;
  const fs::path folder = scratch / "a/b";
  {
    FolderLock lock(folder);
    EXPECT_FALSE(fs::exists(scratch / "a")) << "not before all is checked";
    lock.make_folder();
    error_of(Code::io, [&] { FolderLock other(folder); });
  }
  EXPECT_FALSE(fs::exists(scratch / "a"));
  {
    FolderLock lock(folder / "");
    lock.make_folder();
    write_atomic(folder / "file", "");
  }
  EXPECT_TRUE(fs::exists(folder / "file"));
  EXPECT_FALSE(fs::exists(folder / ".lock"));
}

TEST(FolderLock, AMovedFolderTakesItsLockAlong) {
  const Scratch scratch;
  std::optional<FolderLock> first(std::in_place, scratch / "run");
  first->make_folder();
  fs::rename(scratch / "run", scratch / "moved");
  FolderLock second(scratch / "run");
  second.make_folder();
  first.reset();
  error_of(Code::io, [&] { FolderLock third(scratch / "run"); });
}

}  // namespace
}  // namespace dept
