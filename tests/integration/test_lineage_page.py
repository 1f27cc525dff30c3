"""The page of `dver lineage --format html` in a real Chromium: it draws, it can be used, and it asks no network."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from dver.records.journal import Journal
from dver.records.record import Artifact, Record, State
from tests.commands import GitCommand, installed_dver
from tests.programs import required_program
from tests.templates import copy_template, make_repository

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--window-size=1300,800",
)
_HOSTILE = "</script><script>document.title='run'</script><img src=x onerror=alert(1)>"
# Reading from the drawing itself would make the browser warn of being slow.
_COPY = """
const canvas = document.querySelector("canvas"), copy = document.createElement("canvas");
[copy.width, copy.height] = [canvas.width, canvas.height];
const pen = copy.getContext("2d", { willReadFrequently: true });
pen.drawImage(canvas, 0, 0);
"""
# Counts the pixels of the drawing that have another colour than its corner.
_COUNT_INK = f"""
{_COPY}
const pixels = new Uint32Array(pen.getImageData(0, 0, canvas.width, canvas.height).data.buffer);
return pixels.reduce((count, pixel) => count + (pixel !== pixels[0]), 0);
"""
_CORNER = f"""
{_COPY}
return Math.max(...pen.getImageData(0, 0, 1, 1).data.slice(0, 3));
"""
_FACTS_WIDTH = 360
_FRAMES = "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))"


class Browser:
    """A page, and what a user does with it."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, page: Path) -> None:
        self.driver.get(page.as_uri())
        self.draw()

    def draw(self) -> None:
        """Wait until what was asked for is drawn."""
        self.driver.execute_async_script(_FRAMES)

    def find(self, name: str) -> WebElement:
        return self.driver.find_element(By.ID, name)

    def click(self, name: str) -> None:
        self.find(name).click()
        self.draw()

    def click_at(self, x: int, y: int) -> None:
        """Click so far from the middle of the drawing."""
        ActionChains(self.driver).move_to_element_with_offset(self.find("graph-view"), x, y).click().perform()
        self.draw()

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()
        self.draw()

    def search(self, text: str) -> None:
        field = self.find("search")
        field.clear()
        field.send_keys(text)
        self.draw()

    def facts(self) -> str:
        """Return what the page says of the node that is chosen, or nothing where none is."""
        return self.find("facts").text

    def zoom(self) -> float:
        return float(self.find("zoom").text.removesuffix(" %"))

    def ink(self) -> int:
        return int(self.driver.execute_script(_COUNT_INK))

    def complaints(self) -> list[dict[str, Any]]:
        # selenium has no types here.
        read: Any = self.driver.get_log
        return list(read("browser"))


@pytest.fixture(scope="module")
def start_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Browser]]:
    program, service = required_program("chromium"), required_program("chromedriver")
    started = []

    def start(*flags: str) -> Browser:
        options = webdriver.ChromeOptions()
        options.binary_location = program
        for flag in (*_FLAGS, *flags, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        started.append(webdriver.Chrome(options=options, service=Service(service)))
        return Browser(started[-1])

    yield start
    for driver in started:
        driver.quit()


@pytest.fixture(scope="module")
def shared_browser(start_browser: Callable[..., Browser]) -> Browser:
    return start_browser()


@pytest.fixture
def browser(shared_browser: Browser) -> Iterator[Browser]:
    """A browser that had nothing to complain about, and no page of the test before."""
    shared_browser.driver.get("about:blank")
    shared_browser.complaints()
    yield shared_browser
    assert shared_browser.complaints() == []


class Pages:
    """Makes pages of records in a repository with one dataset, `data`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.dver = installed_dver(root, warm=True)

    def set_up(self) -> None:
        """Add and commit the data."""
        self.dver.ok("init")
        (self.root / "data").write_text("some data")
        self.dver.ok("add", "data")
        GitCommand(self.root)("commit", "--quiet", "-m", "Add data")

    def record(self, name: str, inputs: list[Artifact], outputs: list[Artifact], **facts: Any) -> None:
        fields = {"state": State.COMPLETE, "command": ("python", f"{name}.py"), **facts}
        made = Record(
            started="2026-11-23T13:00:00.123Z", name=name, inputs=tuple(inputs), outputs=tuple(outputs), **fields
        )
        Journal(self.root / ".dver" / "lineage.jsonl").append(made)

    def data(self) -> Artifact:
        lines = (self.root / "data.dver").read_text().splitlines()
        return Artifact("data", next(line.split('"')[1] for line in lines if line.startswith("version")))

    def write(self, *arguments: str) -> Path:
        page = self.root.parent / "lineage.html"
        page.write_text(self.dver.ok("lineage", "--format", "html", *arguments, "data"))
        return page


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    Pages(make_repository(folder)).set_up()
    return folder


@pytest.fixture
def pages(template: Path, tmp_path: Path) -> Pages:
    copy_template(template, tmp_path)
    return Pages(tmp_path / "repo")


def version(path: str) -> Artifact:
    return Artifact(path, "b3:" + path.encode().hex().ljust(64, "0")[:64])


@pytest.fixture
def pipeline(pages: Pages) -> Path:
    """A page of three runs, one of which failed."""
    program = Artifact("clean.py", "git:" + "c" * 40, kind="code")
    pages.record("clean", [version("raw.csv"), program], [version("rows.csv")], tags={"site": "four"})
    pages.record("train", [version("rows.csv")], [pages.data()], params={"lr": 0.125})
    pages.record("report", [pages.data()], [], state=State.FAILED, exit_code=3)
    return pages.write("--both")


def test_draws_the_graph(browser: Browser, pipeline: Path) -> None:
    browser.open(pipeline)

    assert browser.driver.title == "Lineage of data"
    assert browser.find("summary").text.endswith("3 runs, 4 versions")
    assert browser.ink() > 5_000
    assert browser.facts() == ""


def test_a_click_on_a_node_shows_its_facts(browser: Browser, pipeline: Path) -> None:
    browser.open(pipeline)
    browser.search("report")
    browser.press(Keys.ENTER)
    browser.press(Keys.ESCAPE)
    browser.press(Keys.ESCAPE)
    assert browser.facts() == ""

    # What was found was brought to the middle, and the room of the facts is given back at the right.
    browser.click_at(-_FACTS_WIDTH // 2, 0)

    facts = browser.facts()
    assert facts.splitlines()[0] == "report"
    assert "failed with exit code 3" in facts
    assert "python report.py" in facts
    assert "Used\ndata" in facts
    browser.click_at(0, 200)
    assert browser.facts() == ""


def test_the_facts_lead_from_node_to_node(browser: Browser, pipeline: Path) -> None:
    browser.open(pipeline)
    browser.click("home")
    assert browser.facts().splitlines()[0] == "data"

    browser.driver.find_element(By.CSS_SELECTOR, "#links button").click()
    facts = browser.facts()

    assert facts.splitlines()[0] == "train"
    assert "lr = 0.125" in facts
    browser.click("close")
    assert browser.facts() == ""


def test_zooms_by_buttons_keys_and_wheel(browser: Browser, pipeline: Path) -> None:
    browser.open(pipeline)
    before = browser.zoom()

    browser.click("in")
    nearer = browser.zoom()
    browser.click("out")
    browser.press("-")
    farther = browser.zoom()
    ActionChains(browser.driver).scroll_from_origin(
        ScrollOrigin.from_element(browser.find("graph-view")), 0, -300
    ).perform()
    browser.draw()
    by_wheel = browser.zoom()
    browser.click("fit")

    assert farther < before < nearer
    assert by_wheel > farther
    assert browser.zoom() == before


def test_a_drag_moves_the_graph_and_chooses_nothing(browser: Browser, pipeline: Path) -> None:
    browser.open(pipeline)
    browser.search("rows.csv version")
    browser.press(Keys.ENTER)
    browser.press(Keys.ESCAPE)
    browser.press(Keys.ESCAPE)

    view = browser.find("graph-view")
    ActionChains(browser.driver).move_to_element(view).click_and_hold().move_by_offset(60, 150).release().perform()
    browser.draw()
    assert browser.facts() == ""

    browser.click_at(60 - _FACTS_WIDTH // 2, 150)
    assert browser.facts().splitlines()[0] == "rows.csv"


def test_search_finds_text_in_everything_that_is_recorded(browser: Browser, pipeline: Path) -> None:
    browser.open(pipeline)
    plain = browser.ink()

    browser.search("site=FOUR")
    assert browser.find("found").text == "1 found"
    assert browser.find("results").text.splitlines()[0] == "clean"
    assert browser.ink() != plain
    browser.press(Keys.ENTER)
    assert browser.facts().splitlines()[0] == "clean"
    assert browser.find("found").text == "1 of 1"

    browser.search("csv")
    assert browser.find("found").text == "2 found"
    browser.driver.find_element(By.CSS_SELECTOR, "#results button").click()
    assert browser.facts().splitlines()[0].endswith(".csv")
    browser.search("no such thing")
    assert browser.find("found").text == "nothing"


def test_the_keyboard_goes_along_the_graph(browser: Browser, pipeline: Path) -> None:
    browser.open(pipeline)
    seen = []
    for key in (Keys.HOME, Keys.ARROW_LEFT, Keys.ARROW_LEFT, Keys.ARROW_LEFT, Keys.ARROW_RIGHT):
        browser.press(key)
        seen.append(browser.facts().splitlines()[0])
    said = browser.find("said").get_attribute("textContent")
    browser.press("/")
    browser.press("train")

    assert seen == ["data", "train", "rows.csv", "clean", "rows.csv"]
    assert str(said).startswith("version: rows.csv, b3:")
    assert browser.find("search").get_attribute("value") == "train"


def test_is_dark_where_the_system_is_and_changes_on_demand(
    start_browser: Callable[..., Browser], browser: Browser, pipeline: Path
) -> None:
    browser.open(pipeline)
    assert browser.driver.execute_script(_CORNER) > 240
    browser.click("theme")
    assert browser.driver.execute_script(_CORNER) < 40
    assert browser.find("theme").text == "Light"
    browser.click("theme")
    assert browser.driver.execute_script(_CORNER) > 240

    dark = start_browser("--blink-settings=preferredColorScheme=0")
    dark.open(pipeline)
    assert dark.driver.execute_script(_CORNER) < 40
    assert dark.ink() > 5_000
    assert dark.complaints() == []


def test_cycles_and_several_producers_are_drawn(browser: Browser, pages: Pages) -> None:
    pages.record("there", [version("other")], [pages.data()])
    pages.record("back", [pages.data()], [version("other")])
    pages.record("again", [version("other")], [pages.data()])
    browser.open(pages.write())
    browser.click("home")

    facts = browser.facts()

    assert "Made by (2)\nthere" in facts
    assert "\nagain\n" in facts
    assert "Used by\nback" in facts


def test_hostile_names_stay_text(browser: Browser, pages: Pages) -> None:
    path = f"{_HOSTILE.replace('/', '_')}\n\u202e\udcff'\""
    source = Artifact(path, version("x").version, kind=_HOSTILE, props={_HOSTILE: _HOSTILE})
    facts: dict[str, Any] = {"command": (_HOSTILE, "\x1b[31m"), "params": {_HOSTILE: _HOSTILE}, "note": _HOSTILE}
    pages.record(_HOSTILE, [source], [pages.data()], tags={_HOSTILE: _HOSTILE}, **facts)
    browser.open(pages.write())
    browser.search("onerror")
    browser.press(Keys.ENTER)
    shown = browser.facts()

    assert browser.driver.title == "Lineage of data"
    assert _HOSTILE in shown or "<_script>" in shown
    assert browser.driver.find_elements(By.TAG_NAME, "img") == []
    assert len(browser.driver.find_elements(By.TAG_NAME, "script")) == 2


def test_nothing_but_the_page_itself_may_run(browser: Browser, pipeline: Path) -> None:
    text = pipeline.read_text()
    pipeline.write_text(text.replace("</body>", "<script>document.title = 'run'</script></body>"))

    browser.open(pipeline)

    assert browser.driver.title == "Lineage of data"
    assert "Content Security Policy" in browser.complaints()[0]["message"]


def test_ten_thousand_nodes_can_be_used(browser: Browser, pages: Pages) -> None:
    names = [f"step {number}" for number in range(5_000)]
    for number, name in enumerate(names):
        made = pages.data() if number == len(names) - 1 else version(f"{number + 1}")
        used = {version(f"{back}").path: version(f"{back}") for back in (number, number // 2)}
        pages.record(name, list(used.values()), [made])
    browser.open(pages.write())

    assert browser.find("summary").text.endswith("5,000 runs, 5,001 versions")
    browser.search("4321")
    browser.press(Keys.ENTER)
    assert "4321" in browser.facts()
    browser.click("fit")
    assert browser.ink() > 100
