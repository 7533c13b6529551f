"""The report's page in headless Chromium, by its DevTools protocol over a pipe: nothing wider than the page, no message on the console,
nothing fetched, contrast, text alternatives; narrow and wide, light and dark.

    page_in_chromium.py CHROMIUM PAGE...
"""

import json
import os
import subprocess
import sys
from pathlib import Path

CHECKS = r"""
(() => {
  const problems = [], width = document.documentElement.clientWidth;
  const say = (what, element) => problems.push(what + ": " + element.outerHTML.slice(0, 120));
  const parse = text => (text.match(/[\d.]+/g) || []).map(Number);
  const over = (top, below) => {
    const alpha = top.length > 3 ? top[3] : 1;
    return [0, 1, 2].map(i => top[i] * alpha + below[i] * (1 - alpha));
  };
  const ground = element => {
    if (!element) return [255, 255, 255];
    const colour = parse(getComputedStyle(element).backgroundColor);
    return colour.length > 3 && colour[3] === 1 || colour.length === 3 ? colour : over(colour, ground(element.parentElement));
  };
  const light = colour => {
    const [r, g, b] = colour.map(c => c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  if (document.documentElement.scrollWidth > width) say("wider than the page", document.documentElement);
  let texts = 0;
  for (const element of document.body.querySelectorAll("*")) {
    const box = element.getBoundingClientRect();
    if (box.right > width + 0.5 && box.width > 0 && !element.closest(".scroll, svg")) say("wider than the page", element);
    if (![...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())) continue;
    if (box.width === 0 || element.closest("title")) continue;
    const svg = element.closest("svg"), cell = svg && element.previousElementSibling;
    const under = svg && element.classList.contains("cell") ? parse(getComputedStyle(cell).fill) : ground(svg || element);
    const style = getComputedStyle(element);
    const ratio = contrast(over(parse(svg ? style.fill : style.color), under), under);
    ++texts;
    if (ratio < 4.5) say("contrast " + ratio.toFixed(2), element);
    if (svg && (box.right > svg.getBoundingClientRect().right + 1 || box.left < svg.getBoundingClientRect().left - 1))
      say("outside its chart", element);
  }
  const labels = [...document.querySelectorAll("svg")].map(svg => svg.getAttribute("role") === "img" && svg.getAttribute("aria-label"));
  if (labels.some(label => !label)) problems.push("a chart without a text alternative");
  if (new Set(labels).size !== labels.length) problems.push("charts with the same text alternative: " + labels);
  return {problems, texts, charts: labels.length};
})()
"""


class Chromium:
    """One page of a headless Chromium."""

    def __init__(self, program):
        to_read, to_write, from_read, from_write = *os.pipe(), *os.pipe()

        def hand_over():
            high = [os.dup2(to_read, 50), os.dup2(from_write, 51)]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        self.process = subprocess.Popen(
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "about:blank"],
            close_fds=False,
            preexec_fn=hand_over,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(from_write)
        self.pipe, self.answers = os.fdopen(to_write, "wb"), os.fdopen(from_read, "rb")
        self.count, self.session, self.events = 0, None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")

    def receive(self):
        message = bytearray()
        while (byte := self.answers.read(1)) != b"\0":
            if not byte:
                sys.exit("chromium ended")
            message += byte
        return json.loads(message)

    def call(self, method, **arguments):
        self.count += 1
        request = {"id": self.count, "method": method, "params": arguments}
        if self.session:
            request["sessionId"] = self.session
        self.pipe.write(json.dumps(request).encode() + b"\0")
        self.pipe.flush()
        while (message := self.receive()).get("id") != self.count:
            self.events.append(message)
        if "error" in message:
            sys.exit(f"{method}: {message['error']}")
        return message["result"]

    def open(self, page, width, scheme):
        self.events = []
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=page)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self.receive())
        result = self.call("Runtime.evaluate", expression=CHECKS, returnByValue=True)
        if "exceptionDetails" in result:
            sys.exit(f"{page}: {result['exceptionDetails']}")
        return result["result"]["value"]

    def close(self):
        self.process.terminate()
        self.process.wait()


def said_and_fetched(events, page):
    for event in events:
        method, data = event.get("method"), event.get("params", {})
        if method in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded"):
            yield f"on the console: {json.dumps(data)[:200]}"
        if method == "Network.requestWillBeSent" and data["request"]["url"] not in (page, "data:,"):
            yield f"fetched {data['request']['url']}"


def main():
    browser = Chromium(sys.argv[1])
    failed = False
    for name in sys.argv[2:]:
        page = Path(name).resolve().as_uri()
        for width in (390, 1280):
            for scheme in ("light", "dark"):
                found = browser.open(page, width, scheme)
                problems = found["problems"] + list(said_and_fetched(browser.events, page))
                if found["texts"] < 20 or found["charts"] < 1:
                    problems.append(f"only {found['texts']} texts and {found['charts']} charts")
                for problem in problems[:10]:
                    print(f"{name}, {width} pixels, {scheme}: {problem}")
                failed = failed or bool(problems)
    browser.close()
    sys.exit(failed)


if __name__ == "__main__":
    main()
