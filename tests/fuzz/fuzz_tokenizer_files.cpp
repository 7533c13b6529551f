#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "use_tokenizer.h"

namespace {

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
    dept::use_tokenizer(path_);
    std::filesystem::remove(path_ / name);
  }

 private:
  void put(const std::string& name, std::string_view bytes) {
    std::ofstream(path_ / name, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  std::filesystem::path path_;
};

}  // namespace

// A good tokenizer.json with any bytes in a file beside it loads or is refused with an Error; what loads encodes and decodes, or
// refuses with an Error.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Folder folder;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "config.json"})
    folder.use_beside(name, bytes);
  return 0;
}
