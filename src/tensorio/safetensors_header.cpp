#include "tensorio/safetensors_header.h"

#include <algorithm>
#include <set>

#include "dept/base/error.h"
#include "dept/base/json.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr size_t max_safetensors_dimensions = 64;  // torch's own limit

// {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ..., "__metadata__": {"key": "text"}} and nothing else.
class HeaderHandler : public Json::json_sax_t {
 public:
  explicit HeaderHandler(std::string_view where) : where_(where) {}
  std::vector<SafetensorsEntry> take() { return std::move(entries_); }

  bool null() override { refuse("null"); }
  bool boolean(bool) override { refuse("true or false"); }
  bool number_integer(number_integer_t value) override { refuse(str(value)); }
  bool number_float(number_float_t, const string_t& text) override { refuse(quote(text)); }
  bool binary(binary_t&) override { refuse("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ == Place::shape) {
      if (value > static_cast<uint64_t>(INT64_MAX)) refuse(str(value));
      if (entries_.back().shape.size() == max_safetensors_dimensions) refuse(str("more than ", max_safetensors_dimensions));
      entries_.back().shape.push_back(static_cast<int64_t>(value));
    } else if (place_ == Place::offsets && offsets_ < 2) {
      (offsets_++ == 0 ? entries_.back().begin : entries_.back().end) = value;
    } else {
      refuse(str(value));
    }
    return true;
  }

  bool string(string_t& text) override {
    if (place_ == Place::metadata) return true;
    if (place_ != Place::tensor || field_ != "dtype") refuse(quote(text));
    entries_.back().type = find_plain_type(text);
    if (entries_.back().type == nullptr) refuse(quote(text));
    return true;
  }

  bool key(string_t& text) override {
    std::set<std::string>& seen = place_ == Place::tensors ? names_ : keys_;
    if (!seen.insert(text).second) fail(Code::bad_input, where(), "each key once", str(quote(text), " twice"));
    if (place_ == Place::tensor && text != "dtype" && text != "shape" && text != "data_offsets") {
      field_.clear();
      refuse(quote(text));
    }
    (place_ == Place::tensors ? name_ : field_) = text;
    return true;
  }

  bool start_object(std::size_t) override {
    if (place_ == Place::outside) {
      place_ = Place::tensors;
      return true;
    }
    if (place_ != Place::tensors) refuse("an object");
    keys_.clear();
    field_.clear();
    offsets_ = 0;
    place_ = name_ == "__metadata__" ? Place::metadata : Place::tensor;
    if (place_ == Place::tensor) entries_.emplace_back().name = name_;
    return true;
  }

  bool end_object() override {
    if (place_ == Place::tensor && (keys_.size() != 3 || offsets_ != 2)) {
      field_.clear();
      refuse("less");
    }
    place_ = place_ == Place::tensors ? Place::outside : Place::tensors;
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ != Place::tensor || field_ == "dtype") refuse("a list");
    place_ = field_ == "shape" ? Place::shape : Place::offsets;
    return true;
  }

  bool end_array() override {
    place_ = Place::tensor;
    return true;
  }

  bool parse_error(std::size_t position, const std::string& token, const nlohmann::detail::exception&) override {
    fail(Code::bad_input, where_, "a header of valid JSON", str("an error at its byte ", position, " near ", quote(token)));
  }

 private:
  enum class Place { outside, tensors, metadata, tensor, shape, offsets };

  std::string where() const {
    return place_ == Place::outside || name_.empty() ? std::string(where_) : str(where_, ": ", quote(name_));
  }

  std::string expected() const {
    switch (place_) {
      case Place::outside:
        return "a header that is an object";
      case Place::tensors:
        return "an object for each tensor";
      case Place::metadata:
        return "metadata of strings";
      case Place::shape:
        return str("a shape of at most ", max_safetensors_dimensions, " whole numbers below 2^63");
      case Place::offsets:
        return "data_offsets of two whole numbers below 2^64";
      case Place::tensor:
        break;
    }
    if (field_ == "dtype") return "a known dtype";
    return field_.empty() ? "dtype, shape and data_offsets" : field_ + " with its list";
  }

  [[noreturn]] void refuse(const std::string& received) const { fail(Code::bad_input, where(), expected(), received); }

  std::string_view where_;
  Place place_ = Place::outside;
  std::string name_, field_;
  std::set<std::string> names_, keys_;
  int offsets_ = 0;
  std::vector<SafetensorsEntry> entries_;
};

// Each tensor begins where the one before ended and is as long as its shape says; the last ends with the file.
void check_layout(const std::vector<SafetensorsEntry>& entries, uint64_t data_bytes, std::string_view where) {
  uint64_t expected = 0;
  for (const SafetensorsEntry& entry : entries) {
    const std::string tensor = str(where, ": ", quote(entry.name));
    if (entry.begin != expected)
      fail(Code::bad_input, tensor, str("data from byte ", expected, " (no holes, no overlaps)"), str("from byte ", entry.begin));
    if (entry.end < entry.begin || entry.end > data_bytes)
      fail(Code::bad_input, tensor, str("data inside the ", data_bytes, " bytes of the file"),
           str("bytes ", entry.begin, " to ", entry.end));
    const auto count = element_count(entry.shape);
    uint64_t bytes = 0;
    if (!count || __builtin_mul_overflow(*count, entry.type->bytes, &bytes) || bytes > static_cast<uint64_t>(INT64_MAX))
      fail(Code::bad_input, tensor, "a size below 2^63 bytes", str("the shape ", shape_text(entry.shape)));
    if (bytes != entry.end - entry.begin)
      fail(Code::bad_input, tensor, str(bytes, " bytes for ", entry.type->name, " ", shape_text(entry.shape)),
           str(entry.end - entry.begin));
    expected = entry.end;
  }
  if (expected != data_bytes) fail(Code::bad_input, where, str(expected, " bytes of tensors after the header"), str(data_bytes));
}

}  // namespace

std::vector<SafetensorsEntry> parse_safetensors_header(std::string_view header, uint64_t data_bytes, std::string_view where) {
  if (header.empty() || header.front() != '{')
    fail(Code::bad_input, where, "a header that begins with {", quote(header.substr(0, 8)));
  HeaderHandler handler(where);
  Json::sax_parse(header.begin(), header.end(), &handler);
  std::vector<SafetensorsEntry> entries = handler.take();
  std::stable_sort(entries.begin(), entries.end(), [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  check_layout(entries, data_bytes, where);
  return entries;
}

}  // namespace dept
