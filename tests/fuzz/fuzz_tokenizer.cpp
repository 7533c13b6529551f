#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "dept/base/error.h"
#include "dept/text/tokenizer.h"
#include "memory_file.h"

namespace {

const std::string text =
    "ab </s> \xC3\xA9\x65\xCC\x81 \xEF\xAC\x81  12\t\xE4\xB8\xAD\r\n<0x41> "
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab";

void use(const std::filesystem::path& path) {
  try {
    const auto tokenizer = dept::load_tokenizer(path);
    tokenizer->decode(tokenizer->encode(text));
    tokenizer->decode(tokenizer->encode_pair(text, "b", {.max_length = 9}), false);
    tokenizer->files();
  } catch (const dept::Error&) {
  }
}

// A folder with a good tokenizer.json, where any bytes take the place of one of the files beside it.
class Folder {
 public:
  Folder() : path_(std::filesystem::temp_directory_path() / ("dept-fuzz-tokenizer-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(path_);
    put("tokenizer.json", R"({"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2,"</s>":3},"merges":["a b"]},)"
                          R"("added_tokens":[{"id":3,"content":"</s>","special":true}]})");
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  void use_beside(const std::string& name, std::string_view bytes) {
    put(name, bytes);
    use(path_);
    std::filesystem::remove(path_ / name);
  }

 private:
  void put(const std::string& name, std::string_view bytes) {
    std::ofstream(path_ / name, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  std::filesystem::path path_;
};

}  // namespace

// A tokenizer.json of any bytes loads or is refused with an Error, and so does a good one with any bytes in a file beside it;
// what loads encodes and decodes, or refuses with an Error.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Folder folder;
  const dept::MemoryFile input(data, size);
  use(input.path());
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "config.json"})
    folder.use_beside(name, bytes);
  return 0;
}
