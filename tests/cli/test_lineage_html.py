"""`dver lineage --format html`: the page as text. What it does in a browser is in the integration tests."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

from dver.records.record import Artifact, Environment, State
from tests.cli.recording import code, current, data, record
from tests.cli.runner import Cli

HOSTILE = '</script><img src=x onerror="alert(1)">\u2028"\'&amp;\ud800\udcff\x1b[31m\u202e${x}$graph'


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = dict(attrs).get("id") or tag

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        self.texts[self._open] = self.texts.get(self._open, "") + data

    @property
    def graph(self) -> Any:
        return json.loads(self.texts["graph"])

    def labels(self) -> list[str]:
        return [node["label"] for node in self.graph["nodes"]]


def page_of(dataset: Cli, *arguments: str) -> Page:
    return Page(dataset.ok("lineage", "--format", "html", *arguments))


def test_the_page_holds_the_graph(dataset: Cli) -> None:
    part = data("split/train", dataset="split", dataset_version=data("split").version)
    record(dataset, "make", [part, code("make.py")], [current(dataset, kind="model", props={"rows": 3})])
    record(dataset, "use", [current(dataset)], [data("end")])

    page = page_of(dataset, "--both", "data")

    graph = page.graph
    nodes = {node["label"]: number for number, node in enumerate(graph["nodes"])}
    assert sorted(nodes) == ["data", "end", "make", "make.py", "split", "split/train", "use"]
    assert sorted(map(tuple, graph["edges"])) == sorted(
        [
            (nodes["split"], nodes["split/train"], "part"),
            (nodes["split/train"], nodes["make"], "used"),
            (nodes["make.py"], nodes["make"], "used"),
            (nodes["make"], nodes["data"], "made"),
            (nodes["data"], nodes["use"], "used"),
            (nodes["use"], nodes["end"], "made"),
        ]
    )
    assert graph["start"] == nodes["data"]
    looks = {label: graph["nodes"][number]["look"] for label, number in nodes.items()}
    assert (looks["split"], looks["make.py"], looks["data"], looks["use"]) == ("source", "code", "dataset", "run")
    assert ["kind", "model"] in graph["nodes"][nodes["data"]]["facts"]
    assert ["properties", "rows = 3"] in graph["nodes"][nodes["data"]]["facts"]
    assert page.texts["h1"] == "Lineage of data"
    assert page.texts["summary"].endswith("what led to it, and what came of it: 2 runs, 5 versions")


def test_a_run_has_all_that_is_recorded_of_it(dataset: Cli) -> None:
    made = record(
        dataset,
        "fit",
        outputs=[current(dataset)],
        params={"params.toml:lr": 0.1},
        tags={"fold": "3"},
        folder="models",
        seconds=61.0,
        commit="c" * 40,
        dirty=True,
        environment=Environment(python="3.12.1", platform="linux-x86_64", packages="b3:1", image="sha256:2"),
        note="a note",
    )

    (run,) = [node for node in page_of(dataset, "data").graph["nodes"] if node["type"] == "run"]

    assert run["time"] == made.started
    assert run["facts"] == [
        ["run", made.id],
        ["name", "fit"],
        ["state", "complete"],
        ["command", "python fit.py"],
        ["folder", "models"],
        ["parameters", "params.toml:lr = 0.1"],
        ["tags", "fold=3"],
        ["took", "1 min 1 s"],
        ["commit", f"{'c' * 40}, with changes that were not committed"],
        ["python", "3.12.1"],
        ["platform", "linux-x86_64"],
        ["packages", "b3:1"],
        ["image", "sha256:2"],
        ["note", "a note"],
    ]


def test_shows_failures_and_what_depth_leaves_out(dataset: Cli) -> None:
    record(dataset, "fail", [current(dataset)], state=State.FAILED, exit_code=2)
    record(dataset, "use", [current(dataset)], [data("middle")])
    record(dataset, "more", [data("middle")], [data("end")])

    graph = page_of(dataset, "--down", "--depth", "1", "data").graph

    looks = {node["label"]: node["look"] for node in graph["nodes"]}
    assert looks["fail"] == "failed"
    assert looks["… 1 more run, and what came of it"] == "more"
    assert [edge[2] for edge in graph["edges"]].count("more") == 1


def test_nothing_of_a_record_is_markup(dataset: Cli) -> None:
    path = 'a"</script>\n\udcff'
    record(
        dataset,
        HOSTILE,
        [Artifact(path, data("x").version, kind=HOSTILE, props={HOSTILE: HOSTILE})],
        [current(dataset)],
        command=("run", HOSTILE),
        params={HOSTILE: HOSTILE},
        tags={HOSTILE: HOSTILE},
        note=HOSTILE,
        environment=Environment(python=HOSTILE, platform=HOSTILE),
    )

    text = dataset.ok("lineage", "--format", "html", "data")
    page = Page(text)

    assert text.isascii()
    assert text.count("</script>") == 2
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert "img" not in [tag for tag, _ in page.tags]
    assert "\x1b" not in text
    assert any("</script><img" in label for label in page.labels())
    # Nothing that hides, reorders or breaks text is left in it.
    shown = json.dumps(page.graph, ensure_ascii=False)
    assert not re.search("[\u2028\u202e\ud800-\udfff]", shown)


def test_a_dataset_with_a_name_like_markup_is_a_title_and_no_markup(dataset: Cli) -> None:
    dataset.write("<b>&amp;é", "text")
    dataset.ok("add", "<b>&amp;é")
    record(dataset, "make", outputs=[current(dataset, "<b>&amp;é")])

    page = page_of(dataset, "<b>&amp;é")

    assert page.texts["h1"] == page.texts["title"] == "Lineage of <b>&amp;é"
    assert "b" not in [tag for tag, _ in page.tags]


def test_secrets_stay_out(dataset: Cli) -> None:
    record(
        dataset, "", outputs=[current(dataset)], command=(), state=State.IMPORTED, source="https://me:pass@host/a?sig=1"
    )

    text = dataset.ok("lineage", "--format", "html", "data")

    assert "https://host/a" in text
    assert "pass" not in text.partition('id="graph">')[2].partition("</script>")[0]
    assert str(dataset.folder) not in text


def test_the_policy_allows_the_page_itself_and_nothing_else(dataset: Cli) -> None:
    record(dataset, "make", outputs=[current(dataset)])

    page = page_of(dataset, "data")

    policy = next(tag["content"] for _, tag in page.tags if tag.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    allowed = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert allowed == {
        "default-src": "'none'",
        "script-src": f"'{digest(page.texts['script'])}'",
        "style-src": f"'{digest(page.texts['style'])}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert not [tag for _, tag in page.tags if "src" in tag or "href" in tag or "style" in tag]
    assert "://" not in page.texts["script"]
    assert "url(" not in page.texts["style"]


def digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_without_runs_the_page_has_the_version_alone(dataset: Cli) -> None:
    result = dataset("lineage", "--format", "html", "data")

    assert result.code == 1
    assert result.out.startswith("<!doctype html>")
    assert result.out.endswith("</html>\n")
    assert result.err == "dver: no runs are recorded here yet\n"
