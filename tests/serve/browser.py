#!/usr/bin/env python3
"""The page of `dept serve` in a headless Chromium: by keyboard, wide and on a phone's width, light and dark.

    browser.py PROGRAM       without Chromium it is left out
"""
import shutil
import sys
import time

from client import LABELS, TESTS, WORK, Server, make_adapters, make_models

sys.path.insert(0, str(TESTS / "report"))
from page_in_chromium import CHECKS, Chromium  # noqa: E402  the driver and the looks that the report's pages are held to

TEXT = "A warm score."


class Page:
    def __init__(self, browser):
        self.browser = browser

    def value(self, expression):
        return self.browser.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def until(self, expression, seconds=20):
        end = time.monotonic() + seconds
        while not self.value(expression):
            assert time.monotonic() < end, f"not within {seconds} s: {expression}; the page says {self.value('document.body.innerText')!r}"
            time.sleep(0.05)

    def key(self, key, code, text=""):
        self.browser.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, windowsVirtualKeyCode=code, text=text)
        self.browser.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=code)


def use_page(page, server):
    page.until("document.querySelectorAll('#model option').length === 2")
    # By keyboard alone: type, then from field to field to the first button.
    page.until("document.activeElement.id === 'text'")
    page.browser.call("Input.insertText", text=TEXT)
    for _ in range(3):
        page.key("Tab", 9)
    assert page.value("document.activeElement.id") == "write", page.value("document.activeElement.id")
    page.key("Enter", 13, "\r")
    page.until("/written/.test(document.getElementById('figures').textContent)")
    told = server.choices(prompt=TEXT, max_tokens=64, temperature=0)[0]["text"]
    assert page.value("document.getElementById('answer').textContent") == TEXT + told
    # The base has no labels; the adapter has.
    assert page.value("document.getElementById('label').disabled")
    page.value("{ const m = document.getElementById('model'); m.value = 'reviews'; m.dispatchEvent(new Event('change')); }")
    page.value("document.getElementById('label').focus()")
    page.key("Enter", 13, "\r")
    page.until("document.querySelectorAll('#bars li').length === 2")
    scores = server.post("/v1/classify", {"model": "reviews", "input": TEXT}).json["data"][0]["scores"]
    shown = page.value("[...document.querySelectorAll('#bars li')].map(item => [item.firstChild.textContent, item.lastChild.textContent])")
    assert shown == [[label, f"{scores[label]:.3f}"] for label in LABELS], (shown, scores)


def main():
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if not program:
        print("no Chromium here: left out")
        return
    make_models()
    make_adapters()
    with Server("llama", "--adapter", f"reviews={WORK}/reviews") as server:
        browser, here = Chromium(program), f"http://127.0.0.1:{server.port}/"
        page = Page(browser)
        for width, scheme in [(1200, "light"), (360, "dark")]:
            browser.open(here, width, scheme)
            use_page(page, server)
            seen = page.value(CHECKS)
            assert not seen["problems"] and seen["texts"] > 8, seen
            asked = [e["params"]["request"]["url"] for e in browser.events if e.get("method") == "Network.requestWillBeSent"]
            assert asked and all(url.startswith((here, "data:")) for url in asked), asked
            wrong = [e for e in browser.events if e.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")]
            assert not wrong, wrong
        assert page.value("[...document.querySelectorAll('button, select, input')].every(e => e.getBoundingClientRect().height >= 40)"), "for fingers"
        browser.process.terminate()
        browser.process.wait(20)
        server.end()
    shutil.rmtree(WORK, ignore_errors=True)
    print("page: ok")


if __name__ == "__main__":
    main()
