#include "models/encoder_decoder.h"

#include <algorithm>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {

void EncoderDecoderCache::read(const Ragged& source, int64_t slot_count) {
  memory_begin.assign(slot_count, 0);
  memory_length.assign(slot_count, 0);
  for (int64_t b = 0; b < std::min(slot_count, source.batch()); ++b) {
    memory_begin[b] = source.offsets[b];
    memory_length[b] = source.length(b);
  }
}

std::vector<kernels::AttentionSpan> EncoderDecoderCache::cross_spans(const Ragged& fresh, const std::vector<int64_t>& of_slots) {
  std::vector<kernels::AttentionSpan> spans;
  for (int64_t b = 0; b < fresh.batch(); ++b) {
    const int64_t slot = of_slots[b];
    if (fresh.prefix[b] >= 0) {
      const int64_t other = of_slots[fresh.prefix[b]];
      memory_begin.at(slot) = memory_begin.at(other);
      memory_length.at(slot) = memory_length.at(other);
    }
    kernels::AttentionSpan span{fresh.offsets[b], fresh.length(b), memory_begin[slot], memory_length[slot]};
    span.sequence = b;
    if (span.q_length > 0) spans.push_back(span);
  }
  return spans;
}

void EncoderDecoderCache::copy(const std::vector<int64_t>& from, const std::vector<int64_t>& to) {
  slots.copy(from, to);
  const std::vector<int64_t> begin = memory_begin, length = memory_length;
  for (size_t i = 0; i < from.size(); ++i) {
    memory_begin.at(to[i]) = begin.at(from[i]);
    memory_length.at(to[i]) = length.at(from[i]);
  }
}

int64_t EncoderDecoder::length(const KvCache& cache, int64_t slot) const {
  return dynamic_cast<const EncoderDecoderCache&>(cache).slots.length.at(slot);
}

void EncoderDecoder::rewind(KvCache& cache, int64_t slot, int64_t length) const {
  dynamic_cast<EncoderDecoderCache&>(cache).slots.rewind(slot, length);
}

void EncoderDecoder::copy_slots(KvCache& cache, const std::vector<int64_t>& from, const std::vector<int64_t>& to) const {
  dynamic_cast<EncoderDecoderCache&>(cache).copy(from, to);
}

kernels::FrozenMatrix load_shared_embedding(const ModelFiles& files, const std::string& base,
                                            std::initializer_list<const char*> names, at::IntArrayRef shape,
                                            at::ScalarType dtype) {
  const auto table = [&](const std::string& name) { return files.loader.matrix(name, shape, dtype); };
  std::vector<std::string> stored;
  for (const char* name : names)
    if (files.weights != nullptr && files.weights->find(base + name) != nullptr) stored.push_back(base + name);
  const std::string first = stored.empty() ? base + *names.begin() : stored.front();
  kernels::FrozenMatrix embedding = table(first);
  for (size_t i = 1; i < stored.size(); ++i)
    if (!table(stored[i]).dense().equal(embedding.dense()))
      fail(Code::bad_input, str(files.weights->path().string(), ": ", stored[i]), "the same numbers as " + first, "others");
  return embedding;
}

}  // namespace dept
