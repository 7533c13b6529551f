#include "dept/base/error.h"
#include "text/sources.h"

// A SentencePiece model of any bytes is read or refused with an Error; merges are found for the pieces of what is read.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto model = dept::parse_sentencepiece({reinterpret_cast<const char*>(data), size}, "input");
    std::vector<std::string> tokens;
    std::vector<double> ranks;
    for (const auto& piece : model.pieces) {
      tokens.push_back(piece.text);
      ranks.push_back(piece.score);
    }
    dept::merges_of(tokens, ranks);
  } catch (const dept::Error&) {
  }
  return 0;
}
