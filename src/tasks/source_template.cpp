#include "dept/tasks/source_template.h"

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {

std::vector<TemplatePart> parse_source_template(std::string_view text) {
  const auto refuse = [&](std::string_view received) {
    fail(Code::usage, "source_template", "columns as {name}, braces as {{ and }}", str(received, " in ", quote(text)));
  };
  std::vector<TemplatePart> parts;
  std::string words;
  const auto end_words = [&] {
    if (!words.empty()) parts.push_back({false, std::move(words)});
    words.clear();
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c != '{' && c != '}') {
      words += c;
    } else if (i + 1 < text.size() && text[i + 1] == c) {
      words += c;
      ++i;
    } else if (c == '}') {
      refuse("a lone }");
    } else {
      const size_t end = text.find_first_of("{}", i + 1);
      if (end == std::string_view::npos || text[end] == '{') refuse("an open {");
      if (end == i + 1) refuse("an empty {}");
      end_words();
      parts.push_back({true, std::string(text.substr(i + 1, end - i - 1))});
      i = end;
    }
  }
  end_words();
  return parts;
}

std::string fill_template(std::string_view source_template, const std::string& text, const std::string& where,
                          std::string_view instead) {
  std::string source;
  for (const TemplatePart& part : parse_source_template(source_template)) {
    if (part.column && part.text != "text")
      fail(Code::bad_input, where, str(instead, ", as the template names the column ", quote(part.text)), "a text alone");
    source += part.column ? text : part.text;
  }
  return source;
}

}  // namespace dept
