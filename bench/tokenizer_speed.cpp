// bench_tokenizers TOKENIZER TEXT: how fast a tokenizer loads and encodes the lines of a file in processor time, as one JSON
// object.
#include <cstdio>
#include <ctime>

#include "dept/base/error.h"
#include "dept/base/json.h"
#include "dept/text/tokenizer.h"

namespace {

double since(std::clock_t start) {
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

void measure(const char* path, const char* text_path) {
  const std::string text = dept::read_file(text_path);
  const auto start = std::clock();
  const auto tokenizer = dept::load_tokenizer(path);
  const double load = since(start);
  size_t ids = 0, bytes = 0;
  const auto begin = std::clock();
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    ids += tokenizer->encode(std::string_view(text).substr(at, end - at)).size();
    bytes += end - at;
    at = end + 1;
  }
  const double rate = static_cast<double>(bytes) / 1e6 / since(begin);
  std::puts(dept::Json{{"load_s", load}, {"mb_per_s", rate}, {"ids", ids}}.dump().c_str());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return std::fputs("usage: bench_tokenizers TOKENIZER TEXT\n", stderr), 2;
  try {
    measure(argv[1], argv[2]);
  } catch (const dept::Error& error) {
    return std::fprintf(stderr, "%s\n", error.what()), 3;
  }
}
