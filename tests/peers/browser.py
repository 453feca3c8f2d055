"""A visitor of bookinfo with a browser: looks at the page, signs in as jason, signs out.

    browser.py CHROMIUM CHROMEDRIVER URL FOLDER

Writes pictures into FOLDER, and one line of JSON for each look at the page.
"""

import json
import sys

from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait


def text_of(element):
    return " ".join(element.text.split())


def wait_for_page(browser, signed_in):
    """Until the page of such a visitor is there as a whole. While one page replaces another, the
    browser may find an element on the old one, and not know it any more when asked for its text."""

    def there(browser):
        visitor = browser.find_element(By.CLASS_NAME, "visitor").text
        loaded = browser.execute_script("return document.readyState") == "complete"
        return loaded and ("Signed in as" in visitor) == signed_in

    between_pages = (NoSuchElementException, StaleElementReferenceException)
    WebDriverWait(browser, 30, ignored_exceptions=between_pages).until(there)


def look(browser, name, folder):
    """What a person sees of the page."""
    browser.save_screenshot(f"{folder}/{name}.png")
    reviews = [h for h in browser.find_elements(By.TAG_NAME, "h2") if "Reviews" in h.text]
    stars = browser.find_elements(By.CSS_SELECTOR, "blockquote .stars, blockquote [class*=star]")
    print(
        json.dumps(
            {
                "look": name,
                "reviews": text_of(reviews[0]) if reviews else None,
                "quotes": len(browser.find_elements(By.TAG_NAME, "blockquote")),
                "stars": [s.get_attribute("aria-label") or s.text for s in stars],
                "colors": sorted({s.value_of_css_property("color") for s in stars}),
                "visible": all(s.size["width"] > 20 and s.size["height"] > 5 for s in stars),
                "visitor": text_of(browser.find_element(By.CLASS_NAME, "visitor")),
                "wide": browser.execute_script(
                    "return document.documentElement.scrollWidth > window.innerWidth"
                ),
            }
        )
    )


def main():
    chromium, driver, url, folder = sys.argv[1:]
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    # Containers have no user namespaces to shut the browser in, and little shared memory.
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-proxy-server"):
        options.add_argument(flag)
    options.add_argument("--window-size=1100,900")
    options.add_argument(f"--user-data-dir={folder}/profile")
    browser = webdriver.Chrome(options=options, service=Service(driver))
    try:
        browser.get(url)
        look(browser, "guest", folder)
        browser.find_element(By.ID, "username").send_keys("jason")
        browser.find_element(By.CSS_SELECTOR, "form.visitor button").click()
        wait_for_page(browser, signed_in=True)
        look(browser, "jason", folder)
        browser.find_element(By.LINK_TEXT, "Sign out").click()
        wait_for_page(browser, signed_in=False)
        look(browser, "guest again", folder)
        # As on a telephone.
        browser.set_window_size(390, 844)
        browser.get(url)
        look(browser, "narrow", folder)
    finally:
        browser.quit()


main()
