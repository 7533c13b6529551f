#include "text/normal_form.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/uniset.h>

#include <algorithm>

#include "dept/base/error.h"
#include "text/unicode.h"

namespace dept::unicode {
namespace {

void require_success(UErrorCode status) {
  if (U_FAILURE(status)) fail(Code::resource, "ICU", "its tables of normal forms", u_errorName(status));
}

// A normal form that leaves alone what is not in Unicode 9, whichever later version ICU has.
class Unicode9Form {
 public:
  explicit Unicode9Form(const icu::Normalizer2* (*instance)(UErrorCode&))
      : known_(u"[:age=9.0:]", status_), form_(*checked(instance), *known_.freeze()) {}

  bool apply(std::string_view text, std::string& out) const {
    UErrorCode status = U_ZERO_ERROR;
    const icu::StringPiece piece(text.data(), static_cast<int32_t>(text.size()));
    if (form_.isNormalizedUTF8(piece, status)) return false;
    out.clear();
    icu::StringByteSink<std::string> sink(&out);
    form_.normalizeUTF8(0, piece, sink, nullptr, status);
    require_success(status);
    return true;
  }

 private:
  const icu::Normalizer2* checked(const icu::Normalizer2* (*instance)(UErrorCode&)) {
    const icu::Normalizer2* found = instance(status_);
    require_success(status_);
    return found;
  }

  UErrorCode status_ = U_ZERO_ERROR;
  icu::UnicodeSet known_;
  icu::FilteredNormalizer2 form_;
};

const Unicode9Form& form_of(Form form) {
  static const Unicode9Form nfc(icu::Normalizer2::getNFCInstance), nfd(icu::Normalizer2::getNFDInstance),
      nfkc(icu::Normalizer2::getNFKCInstance), nfkd(icu::Normalizer2::getNFKDInstance);
  switch (form) {
    case Form::nfc:
      return nfc;
    case Form::nfd:
      return nfd;
    case Form::nfkc:
      return nfkc;
    default:
      return nfkd;
  }
}

}  // namespace

bool to_form(Form form, std::string_view text, std::string& out) {
  if (std::all_of(text.begin(), text.end(), [](char c) { return static_cast<uint8_t>(c) < 0x80; })) return false;
  if (text.size() > INT32_MAX) fail(Code::bad_input, "text", "under 2 GB to normalise", std::to_string(text.size()) + " bytes");
  return form_of(form).apply(text, out);
}

void append_lower(char32_t point, std::string& out) {
  if (point == 0x130) return append(out, U'i'), append(out, U'\u0307');  // the only character that becomes two
  for (size_t i = 0; point > 0x1C88 && i < newer_lower_count; ++i) {
    const LowerRange& range = newer_lower[i];
    if (point >= range.first && point <= range.last) return append(out, point + static_cast<char32_t>(range.distance));
  }
  append(out, static_cast<char32_t>(u_tolower(static_cast<UChar32>(point))));
}

}  // namespace dept::unicode
