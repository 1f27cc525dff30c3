"""A pipeline as people have them: measurements as CSV, scikit-learn, a file of parameters, branches and commits."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.integration.pipelines import PipelineBase, logged
from tests.templates import copy_template, make_repository

CODE = {
    "clean": """\
import csv
with open("raw/in.csv") as raw, open("clean.csv", "w") as clean:
    csv.writer(clean).writerows(row for row in csv.reader(raw) if all(row))
""",
    "split": """\
import csv, os, yaml
from sklearn.model_selection import train_test_split
settings = yaml.safe_load(open("params.yaml"))["split"]
head, *rows = csv.reader(open("clean.csv"))
parts = train_test_split(rows, test_size=settings["share"], random_state=settings["seed"])
os.makedirs("parts", exist_ok=True)
for name, part in zip(("train", "test"), parts):
    with open(f"parts/{name}.csv", "w") as file:
        csv.writer(file).writerows([head, *part])
""",
    "scale": """\
import joblib, numpy
from sklearn.preprocessing import StandardScaler
table = numpy.loadtxt("parts/train.csv", delimiter=",", skiprows=1)
joblib.dump(StandardScaler().fit(table[:, :-1]), "scaler.joblib")
""",
    "train": """\
import joblib, numpy, yaml
from sklearn.linear_model import LogisticRegression
settings = yaml.safe_load(open("params.yaml"))["train"]
table = numpy.loadtxt("parts/train.csv", delimiter=",", skiprows=1)
scaled = joblib.load("scaler.joblib").transform(table[:, :-1])
model = LogisticRegression(C=settings["C"], max_iter=settings["rounds"], random_state=0)
joblib.dump(model.fit(scaled, table[:, -1]), "model.joblib")
""",
    "evaluate": """\
import joblib, json, numpy
from sklearn.metrics import accuracy_score, log_loss
table = numpy.loadtxt("parts/test.csv", delimiter=",", skiprows=1)
inputs, truth = joblib.load("scaler.joblib").transform(table[:, :-1]), table[:, -1]
model = joblib.load("model.joblib")
figures = {
    "accuracy": accuracy_score(truth, model.predict(inputs)),
    "loss": log_loss(truth, model.predict_proba(inputs)),
}
json.dump(figures, open("metrics.json", "w"))
""",
}
STEPS = {
    "clean": ("-d", "raw", "-o", "clean.csv"),
    "split": ("-d", "clean.csv", "-o", "parts", "-p", "params.yaml:split.share", "-p", "params.yaml:split.seed"),
    "scale": ("-d", "parts/train.csv", "-o", "scaler.joblib"),
    "train": (
        *("-d", "parts/train.csv", "-d", "scaler.joblib", "-o", "model.joblib"),
        *("-p", "params.yaml:train.C", "-p", "params.yaml:train.rounds"),
    ),
    "evaluate": ("-d", "model.joblib", "-d", "scaler.joblib", "-d", "parts/test.csv", "-o", "metrics.json"),
}
PARAMS = "split:\n  share: 0.25\n  seed: 7\ntrain:\n  C: 1.0\n  rounds: 500\n"
DAMAGED = 20
FEWER = 400


class Learning(PipelineBase):
    """A repository in which a model is made in five steps."""

    def params(self, old: str = "", new: str = "") -> None:
        """Write the parameters, changed."""
        (self.root / "params.yaml").write_text(PARAMS.replace(old, new) if old else PARAMS)

    def metrics(self) -> dict[str, float]:
        """Return what the model was found to be worth."""
        found: dict[str, float] = json.loads((self.root / "metrics.json").read_text())
        return found

    def sources(self, place: str) -> dict[str, str]:
        """Return the paths and versions that lead to a place and that no run made."""
        runs = json.loads(self.dver.ok("lineage", place, "--json"))["runs"]
        made = {_data(one) for run in runs if run["command"] for one in run["outputs"]}
        return dict({_data(one) for run in runs for one in run["inputs"]} - made)

    def version(self, path: str, rev: str) -> str:
        """Return the version that a pointer names in a commit."""
        lines = self.git("show", f"{rev}:{path}.dver").splitlines()
        return next(line.split('"')[1] for line in lines if line.startswith("version"))


def _data(artifact: Mapping[str, Any]) -> tuple[str, str]:
    """Return the path and version of a dataset, or of a file of git."""
    return (artifact["dataset"] or artifact["path"], artifact["dataset_version"] or artifact["version"])


def _measured() -> str:
    """Return real measurements as CSV, some rows with a gap."""
    # Takes seconds to load, in every process that collects these tests.
    from sklearn.datasets import load_breast_cancer  # noqa: PLC0415

    found = load_breast_cancer()
    table = (
        [*found.feature_names, "benign"],
        *([*row, kind] for row, kind in zip(found.data, found.target, strict=True)),
    )
    lines = [",".join(str(cell) for cell in row) for row in table]
    return "\n".join([*lines, *("," + line.partition(",")[2] for line in lines[1 : DAMAGED + 1])]) + "\n"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    made = Learning(make_repository(folder))
    made.params()
    made.set_up(logged(CODE), _measured())
    made.dver.ok("add", "raw", "--from", "https://archive.example.org/wdbc", "--note", "digitized cell nuclei")
    made.run_steps(STEPS)
    made.commit("first model")
    assert made.ran() == list(STEPS)
    return folder


@pytest.fixture
def learning(template: Path, tmp_path: Path) -> Learning:
    """The pipeline after its first run, committed."""
    copy_template(template, tmp_path)
    return Learning(tmp_path / "repo")


def test_a_parameter_runs_again_what_depends_on_it_and_the_way_back_runs_nothing(learning: Learning) -> None:
    rows = (learning.root / "clean.csv").read_text().splitlines()
    assert len(rows) == len(_measured().splitlines()) - DAMAGED
    first = learning.metrics()
    assert first["accuracy"] > 0.9
    assert learning.repro() == []

    learning.params("C: 1.0", "C: 0.001")
    assert learning.repro() == ["train", "evaluate"]
    weak = learning.metrics()
    assert weak["loss"] > first["loss"]
    learning.commit("a weaker model")

    learning.params("seed: 7", "seed: 8")
    assert learning.repro() == ["split", "scale", "train", "evaluate"]
    learning.commit("other rows to test with")

    learning.params()
    assert learning.repro() == []
    assert learning.metrics() == first
    learning.dver.ok("checkout", "HEAD~1")
    assert learning.metrics() == weak


def test_branches_with_runs_of_their_own_merge_and_lineage_names_the_raw_data_in_every_commit(
    learning: Learning,
) -> None:
    learning.dver.ok("install")
    learning.git("switch", "--quiet", "--create", "more")
    raw = learning.root / "raw" / "in.csv"
    raw.write_text("".join(raw.read_text().splitlines(keepends=True)[:FEWER]))
    learning.dver.ok("add", "raw")
    assert learning.repro() == list(STEPS)
    learning.commit("fewer rows")
    learning.git("switch", "--quiet", "main")
    learning.dver.ok("run", "-n", "count", "-d", "clean.csv", "-o", "rows", "--shell", "--", "wc -l < clean.csv > rows")
    learning.commit("count")
    learning.git("merge", "--quiet", "--no-edit", "more")

    names = [record.get("name", "") for record in learning.records()]
    assert names.count("train") == 2
    assert names.count("count") == 1
    assert "rows  made from clean.csv" in learning.dver.ok("status")
    assert learning.repro() == []
    assert int((learning.root / "rows").read_text()) <= FEWER
    for rev in ("HEAD", "HEAD^1", "HEAD^2", "HEAD~2"):
        sources = learning.sources(f"{rev}:metrics.json")
        assert sources["raw"] == learning.version("raw", rev), rev
        assert set(sources) == {"raw", *(f"{name}.py" for name in STEPS)}
