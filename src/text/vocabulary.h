// The two-way map between tokens and ids.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dept {

class Vocabulary {
 public:
  static constexpr int32_t absent = -1;
  static constexpr int64_t max_id = (int64_t{1} << 22) - 1;

  void reserve(size_t tokens, size_t bytes);

  enum class Added { yes, token_known, id_taken, bad_id };
  /// Nothing changes unless the answer is `yes`.
  Added add(std::string_view token, int64_t id);

  int32_t find(std::string_view token) const;
  bool contains(int64_t id) const { return id >= 0 && id < static_cast<int64_t>(spans_.size()) && spans_[id].begin != unused; }
  /// The id's token; contains(id).
  std::string_view token(int64_t id) const { return std::string_view(bytes_).substr(spans_[id].begin, spans_[id].size); }
  size_t size() const { return count_; }
  int64_t end_id() const { return static_cast<int64_t>(spans_.size()); }

 private:
  static constexpr size_t unused = SIZE_MAX;
  struct Span {
    size_t begin = unused, size = 0;
  };
  size_t slot(std::string_view token) const;
  void grow(size_t slots);

  std::string bytes_;
  std::vector<Span> spans_;
  std::vector<int32_t> slots_ = std::vector<int32_t>(16, absent);  // open addressing, at most half full
  size_t count_ = 0;
};

}  // namespace dept
