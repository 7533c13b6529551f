#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstring>

#include "dept/base/digest.h"
#include "dept/base/file_lock.h"
#include "dept/base/unfinished.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

using testing::HasSubstr;

size_t entries(const fs::path& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(File, WritesAndReadsBack) {
  const Scratch scratch;
  write_atomic(scratch / "a", std::string("x\0y", 3));
  write_atomic(scratch / "a", "second");
  EXPECT_EQ(read_file(scratch / "a"), "second");
  EXPECT_EQ(entries(scratch.path()), 1u);
  EXPECT_EQ(read_file(scratch.write("empty", "")), "");
}

TEST(File, PiecesAppearOnCommitOnly) {
  const Scratch scratch;
  {
    AtomicFile file(scratch / "a");
    file.append("x");
    EXPECT_FALSE(fs::exists(scratch / "a"));
  }
  EXPECT_EQ(entries(scratch.path()), 0u);
  AtomicFile file(scratch / "a");
  file.append("x");
  file.append("y");
  file.commit();
  EXPECT_EQ(read_file(scratch / "a"), "xy");
  EXPECT_EQ(entries(scratch.path()), 1u);
}

TEST(File, WritesThroughLinksAndIntoDevices) {
  const Scratch scratch;
  scratch.write("a", "1");
  fs::create_symlink(scratch / "a", scratch / "link");
  write_atomic(scratch / "link", "2");
  EXPECT_EQ(read_file(scratch / "a"), "2");
  EXPECT_TRUE(fs::is_symlink(scratch / "link"));
  write_atomic("/dev/null", "x");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  EXPECT_THAT(error_of(Code::io, [] { write_atomic("/dev/full", "x"); }), HasSubstr("No space left"));
}

TEST(File, ReadErrorsNameTheFile) {
  const Scratch scratch;
  EXPECT_THAT(error_of(Code::io, [&] { read_file(scratch / "none"); }),
              HasSubstr("none] expected a readable file, received No such file"));
  EXPECT_THAT(error_of(Code::io, [&] { read_file(scratch.path()); }), HasSubstr("a folder"));
  EXPECT_THAT(error_of(Code::bad_input, [&] { read_file(scratch.write("big", "12345"), 4); }),
              HasSubstr("at most 4 bytes, received 5"));
  EXPECT_EQ(error_of(Code::io, [&] { require_readable_file(scratch / "none", "train_file"); }).rfind("train_file: [", 0), 0u);
}

TEST(File, WriteErrorsLeaveNothing) {
  const Scratch scratch;
  const fs::path file = scratch.write("file", "kept");
  EXPECT_THAT(error_of(Code::io, [&] { write_atomic(file / "below", "x"); }), HasSubstr("Not a directory"));
  fs::create_directories(scratch / "folder" / "inner");
  error_of(Code::io, [&] { write_atomic(scratch / "folder", "x"); });
  error_of(Code::io, [&] { require_writable_folder(file / "below"); });
  error_of(Code::io, [&] { require_writable_folder(file); });
  EXPECT_EQ(read_file(file), "kept");
  EXPECT_EQ(entries(scratch.path()), 2u);
}

TEST(File, WritableFolderIsMadeAndLeftEmpty) {
  const Scratch scratch;
  require_writable_folder(scratch / "a/b/c");
  EXPECT_EQ(entries(scratch / "a/b/c"), 0u);
}

TEST(File, Sha256KnownAnswers) {
  const auto digest = [](std::string_view text) { return sha256_hex(std::as_bytes(std::span(text))); };
  EXPECT_EQ(digest(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(digest("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(ReadFile, RefusesANamedPipeWithoutWaiting) {
  const Scratch scratch;
  const fs::path pipe = scratch / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  error_of(Code::io, [&] { read_file(pipe); });
  error_of(Code::io, [&] { MappedFile map(pipe); });
  error_of(Code::io, [&] { require_readable_file(pipe, "train_file"); });
}

TEST(AtomicFolder, AppearsWholeOnCommitOnly) {
  const Scratch scratch;
  {
    AtomicFolder folder(scratch / "out");
    write_atomic(folder.path() / "a", "1");
    EXPECT_FALSE(fs::exists(scratch / "out"));
  }
  EXPECT_EQ(entries(scratch.path()), 0u);
  for (const char* text : {"1", "2"}) {
    AtomicFolder folder(scratch / "out");
    fs::create_directory(folder.path() / "inner");
    write_atomic(folder.path() / "inner" / "a", text);
    folder.commit();
    EXPECT_EQ(read_file(scratch / "out" / "inner" / "a"), text);
    EXPECT_EQ(entries(scratch.path()), 1u);
  }
}

TEST(AtomicFolder, TargetMayEndInASlash) {
  const Scratch scratch;
  for (const char* text : {"1", "2"}) {
    AtomicFolder folder(scratch / "out/");
    write_atomic(folder.path() / "a", text);
    folder.commit();
    EXPECT_EQ(read_file(scratch / "out" / "a"), text);
    EXPECT_EQ(entries(scratch.path()), 1u);
  }
}

TEST(AtomicFolder, TargetBelowAFileIsAnIoError) {
  const Scratch scratch;
  const fs::path file = scratch.write("file", "kept");
  error_of(Code::io, [&] { AtomicFolder folder(file / "out"); });
}

// A process that replaces a folder over and over dies at some moment: a whole folder always has the target's name.
TEST(AtomicFolder, KilledWriterLeavesAWholeFolder) {
  const Scratch scratch;
  const auto replace = [&](int i) {
    AtomicFolder folder(scratch / "out");
    write_atomic(folder.path() / "a", std::to_string(i));
    write_atomic(folder.path() / "b", std::to_string(i));
    folder.commit();
  };
  replace(-1);
  for (int round = 0; round < 10; ++round) {
    const std::string before = read_file(scratch / "out" / "a");
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0)
      for (int i = 1000 * round;; ++i) replace(i);
    for (int waited = 0; waited < 10000 && read_file(scratch / "out" / "a") == before; ++waited) ::usleep(1000);
    ::usleep(round * 1700);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    EXPECT_NE(read_file(scratch / "out" / "a"), before);
    EXPECT_EQ(read_file(scratch / "out" / "a"), read_file(scratch / "out" / "b"));
  }
}

TEST(MappedFile, ShowsTheBytes) {
  const Scratch scratch;
  const std::string text(3 * 4096 + 5, 'x');
  const MappedFile map(scratch.write("a", text));
  ASSERT_EQ(map.bytes().size(), text.size());
  EXPECT_EQ(std::memcmp(map.bytes().data(), text.data(), text.size()), 0);
  map.drop(0, text.size());
  EXPECT_EQ(static_cast<char>(map.bytes()[5000]), 'x');
  EXPECT_TRUE(MappedFile(scratch.write("empty", "")).bytes().empty());
  error_of(Code::io, [&] { MappedFile missing(scratch / "none"); });
}

TEST(Digest, KnownAnswersInPieces) {
  Digest sha1(Digest::Kind::sha1), sha256;
  for (const char* part : {"a", "", "bc"}) {
    sha1.add(part);
    sha256.add(part);
  }
  EXPECT_EQ(sha1.hex(), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(sha256.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Digest, OfALargeFileByItsSamples) {
  const Scratch scratch;
  std::string bytes(size_t{20} << 20, 'x');
  const std::string before = sampled_sha256(scratch.write("large", bytes));
  EXPECT_EQ(sampled_sha256(scratch.write("copy", bytes)), before);
  const size_t sampled = bytes.size() / 257 * 100;
  for (const size_t place : {size_t{0}, sampled, bytes.size() - 1}) {
    bytes[place] = 'y';
    EXPECT_NE(sampled_sha256(scratch.write("changed", bytes)), before) << place;
    bytes[place] = 'x';
  }
  EXPECT_NE(sampled_sha256(scratch.write("longer", bytes + "x")), before);
  EXPECT_NE(sampled_sha256(scratch.write("small", "ab")), sampled_sha256(scratch.write("other", "ac")));
  error_of(Code::io, [&] { sampled_sha256(scratch / "none"); });
}

TEST(Unfinished, WhatIsNotForgottenIsRemoved) {
  const Scratch scratch;
  const fs::path kept = scratch.write("kept", ""), doomed = scratch.write("doomed", "");
  EXPECT_EXIT(
      {
        note_unfinished(kept);
        note_unfinished(doomed);
        forget_unfinished(kept);
        AtomicFile file(scratch / "file");
        file.append("half");
        remove_unfinished();
        ::_exit(0);
      },
      testing::ExitedWithCode(0), "");
  EXPECT_EQ(entries(scratch.path()), 1u);
  EXPECT_TRUE(fs::exists(kept));
}

TEST(FileLock, OneHolderAtATime) {
  const Scratch scratch;
  std::optional<FileLock> first = FileLock::try_lock(scratch / "lock");
  ASSERT_TRUE(first);
  EXPECT_FALSE(FileLock::try_lock(scratch / "lock"));
  EXPECT_TRUE(first->is_at(scratch / "lock"));
  first.reset();
  const std::optional<FileLock> second = FileLock::try_lock(scratch / "lock");
  ASSERT_TRUE(second) << "the file alone keeps nobody out";
  fs::rename(scratch / "lock", scratch / "moved");
  EXPECT_FALSE(second->is_at(scratch / "lock"));
  EXPECT_TRUE(FileLock::try_lock(scratch / "lock"));
  error_of(Code::io, [&] { FileLock::try_lock(scratch / "none/lock"); });
}

}  // namespace
}  // namespace dept
