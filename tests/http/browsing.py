# SPDX-License-Identifier: Apache-2.0
"""
Chromium as tests of pages use it: light and dark, at a width, with scripts and without; what can be read there.

IDEM_SHOTS=FOLDER writes a picture of each view there.
"""
import base64
import contextlib
import os
import pathlib

import env

# Every visible text with what stands behind it; what is below the ratio of WCAG AA for its size.
CONTRAST = """
const parse = text => { const n = text.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
const light = ([r, g, b]) => [r, g, b].map(c => c / 255).map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + .05) / (y + .05); };
const ground = node => {
    for (; node; node = node.parentElement) {
        const colour = parse(getComputedStyle(node).backgroundColor);
        if (colour[3] === 1) return colour;
    }
    return [255, 255, 255, 1];
};
const found = []; let seen = 0;
for (const node of document.querySelectorAll('body *')) {
    const own = node.matches('input, select') ||
        [...node.childNodes].some(one => one.nodeType === 3 && one.data.trim());
    if (!own || !node.checkVisibility() || node.closest('svg')) continue;
    const style = getComputedStyle(node), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const is = ratio(parse(style.color), ground(node));
    seen++;
    if (is < (large ? 3 : 4.5)) found.push([node.outerHTML.slice(0, 120), is]);
}
for (const node of document.querySelectorAll('rect, .swatch')) {
    const style = getComputedStyle(node);
    const behind = ground(node.matches('rect') ? node.closest('svg') : node.parentElement);
    seen++;
    if (ratio(parse(node.matches('rect') ? style.fill : style.backgroundColor), behind) < 3)
        found.push([node.outerHTML, 'graphic']);
}
for (const node of document.querySelectorAll('input:not([type=hidden]), select')) {
    if (!node.checkVisibility() || node.type === 'checkbox') continue;
    if (ratio(parse(getComputedStyle(node).borderTopColor), ground(node.parentElement)) < 3)
        found.push([node.outerHTML, 'edge']);
}
return [found, seen];
"""


class Browser:
    def __init__(self, driver):
        self.driver = driver

    def set(self, command, **values):
        self.driver.execute_cdp_cmd(command, values)

    def scheme(self, name, motion="no-preference"):
        self.set("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name},
                                                         {"name": "prefers-reduced-motion", "value": motion}])

    def size(self, width, height=900):
        self.set("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                 mobile=width < 600)

    def scripts(self, on):
        self.set("Emulation.setScriptExecutionDisabled", value=not on)

    def one(self, css):
        return self.driver.find_element("css selector", css)

    def all(self, css):
        return self.driver.find_elements("css selector", css)

    @property
    def text(self):
        return self.one("body").text

    def shot(self, name):
        folder = os.environ.get("IDEM_SHOTS")
        if folder:
            size = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
            data = self.driver.execute_cdp_cmd("Page.captureScreenshot", {
                "captureBeyondViewport": True,
                "clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}})
            (pathlib.Path(folder) / f"{name}.png").write_bytes(base64.b64decode(data["data"]))


@contextlib.contextmanager
def chromium(page_load_strategy="normal"):
    """A driver of Chromium without a window. With the strategy "none" its commands wait for no page."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = env.program("chromium")
    options.page_load_strategy = page_load_strategy
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run",
                     "--window-size=1280,2000"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=webdriver.chrome.service.Service(env.program("chromedriver")))
    driver.set_script_timeout(env.CLIENT_TIMEOUT)
    driver.set_page_load_timeout(env.CLIENT_TIMEOUT)
    try:
        yield driver
    finally:
        driver.quit()
