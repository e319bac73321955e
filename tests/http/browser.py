# SPDX-License-Identifier: Apache-2.0
"""Chromium without a window, driven by Selenium: the one place where it is started."""
import contextlib

import env

ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run",
             "--window-size=1280,2000")


@contextlib.contextmanager
def chromium(page_load_strategy="normal"):
    """A driver. With the strategy "none" its commands wait for no page."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = env.program("chromium")
    options.page_load_strategy = page_load_strategy
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for argument in ARGUMENTS:
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=webdriver.chrome.service.Service(env.program("chromedriver")))
    driver.set_script_timeout(env.CLIENT_TIMEOUT)
    driver.set_page_load_timeout(env.CLIENT_TIMEOUT)
    try:
        yield driver
    finally:
        driver.quit()
