#include "report/svg.h"

#include "dept/base/text.h"
#include "report/html.h"

namespace dept {

std::string place(double value) {
  return html::fixed(value, 1);
}

std::string line(double x1, double y1, double x2, double y2, std::string_view form) {
  return str("<line class=\"", form, "\" x1=\"", place(x1), "\" y1=\"", place(y1), "\" x2=\"", place(x2), "\" y2=\"", place(y2),
             "\"/>");
}

std::string text_at(double x, double y, std::string_view anchor, std::string_view text, std::string_view form) {
  return str("<text class=\"", form, "\" x=\"", place(x), "\" y=\"", place(y), "\" text-anchor=\"", anchor, "\">",
             html::escape(text), "</text>");
}

std::string figure(std::string_view label, std::string_view body, std::string_view below) {
  const std::string title = html::escape(label);
  return str("<figure><div class=\"title\">", title, "</div>\n<svg role=\"img\" aria-label=\"", title, "\" viewBox=\"0 0 ",
             Frame::width, " ", Frame::height, "\">\n", body, "</svg>\n",
             below.empty() ? "" : str("<figcaption>", below, "</figcaption>"), "</figure>\n");
}

std::string Frame::axes(std::string_view x, std::string_view y, bool x_ticks) const {
  std::string out;
  for (const Tick& tick : y_.ticks(4)) {
    const double at = this->y(tick.value);
    out += line(left, at, right, at, "grid") + text_at(left - 5, at + 4, "end", html::cut(tick.text, 8), "tick");
  }
  if (x_ticks)
    for (const Tick& tick : x_.ticks(4))
      out += text_at(this->x(tick.value), bottom + 15, "middle", html::cut(tick.text, 8), "tick");
  out += line(left, bottom, right, bottom, "axis");
  out += text_at((left + right) / 2, height - 8, "middle", html::cut(x, 50), "name");
  out += str("<text class=\"name\" text-anchor=\"middle\" transform=\"translate(12 ", place((top + bottom) / 2),
             ") rotate(-90)\">", html::escape(html::cut(y, 28)), "</text>\n");
  return out;
}

}  // namespace dept
