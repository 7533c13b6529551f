#include "report/html.h"

#include <array>
#include <charconv>
#include <cmath>

#include "dept/base/text.h"

namespace dept::html {
namespace {

bool starts_character(char c) {
  return (c & 0xC0) != 0x80;
}

template <class... Form>
std::string digits(double value, Form... form) {
  if (!std::isfinite(value)) return "";
  std::array<char, 400> bytes{};  // the largest double has 309 digits
  std::string text(bytes.data(), std::to_chars(bytes.data(), bytes.data() + bytes.size(), value, form...).ptr);
  const size_t exponent = text.find("e-0");
  return exponent == std::string::npos ? text : text.erase(exponent + 2, 1);  // 1e-4, as people type it
}

// Lines may break behind an underscore.
std::string breakable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    out += c;
    if (c == '_') out += "<wbr>";
  }
  return out;
}

// What a list's or an object's text would be among others.
std::string inner(const OrderedJson& value) {
  return value.is_structured() ? value.dump(-1, ' ', false, OrderedJson::error_handler_t::replace) : shown(value);
}

}  // namespace

std::string escape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t')
          out += "\xEF\xBF\xBD";
        else
          out += c;
    }
  }
  return out;
}

std::string cut(std::string_view text, size_t limit) {
  size_t end = 0;
  for (; end < text.size(); ++end)
    if (starts_character(text[end]) && limit-- == 0) return std::string(text.substr(0, end)) + "\xE2\x80\xA6";
  return std::string(text);
}

std::string number(double value) {
  return digits(value, std::chars_format::general, 6);
}

std::string fixed(double value, int places) {
  return digits(value, std::chars_format::fixed, places);
}

std::string grouped(int64_t count) {
  std::string text = str(count);
  for (auto at = std::ssize(text) - 3; at > (count < 0 ? 1 : 0); at -= 3) text.insert(static_cast<size_t>(at), 1, ',');
  return text;
}

std::string shown(const OrderedJson& value) {
  if (value.is_null()) return "";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return digits(value.get<double>());
  if (!value.is_array()) return value.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
  std::vector<std::string> parts;
  for (const OrderedJson& one : value) parts.push_back(inner(one));
  return join(parts, ", ");
}

void Table::row(const std::vector<std::string>& cells, bool strong) {
  rows_ += strong ? "<tr class=\"strong\">" : "<tr>";
  for (size_t i = 0; i < cells.size(); ++i) {
    const char* tag = i == 0 ? "th scope=\"row\"" : "td";
    rows_ += str("<", tag, form_ == "cards" ? str(" data-label=\"", escape(columns_[i]), "\"") : "", ">", escape(cells[i]),
                 i == 0 ? "</th>" : "</td>");
  }
  rows_ += "</tr>\n";
}

std::string Table::text() const {
  std::string head;
  for (const std::string& column : columns_) head += str("<th scope=\"col\">", breakable(escape(column)), "</th>");
  return str("<div class=\"scroll\"><table class=\"", form_, "\"><thead><tr>", head, "</tr></thead><tbody>\n", rows_,
             "</tbody></table></div>\n");
}

std::string section(std::string_view title, std::string_view body) {
  return str("<section><h2>", escape(title), "</h2>\n", body, "</section>\n");
}

std::string paragraph(std::string_view text) {
  return str("<p>", escape(text), "</p>\n");
}

}  // namespace dept::html
