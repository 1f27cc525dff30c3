"""`dver show`."""

import pytest

from dver.records.record import Environment, State
from tests.cli.recording import STARTED, code, current, data, record
from tests.cli.runner import Cli

pytestmark = pytest.mark.usefixtures("in_utc")


def test_shows_all_of_a_run(dataset: Cli) -> None:
    part = data("set/a", dataset="set", dataset_version=data("set").version)
    made = record(
        dataset,
        "train",
        [part, code("train.py")],
        [current(dataset, kind="model", props={"accuracy": 0.5, "final": True})],
        folder="src",
        params={"params.yaml:lr": 0.1, "mode": "fast", "limit": None},
        commit="a" * 40,
        dirty=True,
        seconds=61.2,
        exit_code=0,
        environment=Environment("3.12.1", "linux-x86_64", "b3:" + "e" * 64, "sha256:1"),
        tags={"experiment": "a"},
        key="b3:" + "d" * 64,
        reuses="b3:" + "f" * 64,
        note="two\nlines",
    )

    assert dataset.ok("show", made.id) == (
        f"run {made.id}\n"
        "name         train\n"
        "state        complete\n"
        "command      python train.py\n"
        "folder       src\n"
        "started      2026-11-23 13:00:00\n"
        "took         1 min 1 s\n"
        f"commit       {'a' * 40}, with changes that were not committed\n"
        "parameters   limit = null\n"
        "             mode = fast\n"
        "             params.yaml:lr = 0.1\n"
        f"inputs       set/a  {part.version}  part of set  {part.dataset_version}\n"
        f"             train.py  git:{'c' * 40}  (code)\n"
        f"outputs      data  {current(dataset).version}  (model, accuracy=0.5, final=true)\n"
        "tags         experiment=a\n"
        "python       3.12.1\n"
        "platform     linux-x86_64\n"
        f"packages     b3:{'e' * 64}\n"
        "image        sha256:1\n"
        f"reuses       b3:{'f' * 64}\n"
        f"key          b3:{'d' * 64}\n"
        "note         two\\nlines\n"
    )


def test_lists_the_packages_of_the_last_run_that_has_some(dataset: Cli) -> None:
    for name, text in (("first", "a==1\n"), ("second", "a==2\nb==1\n")):
        dataset.write(name, text)
        dataset.ok("add", name)
    packages = {name: Environment(packages=current(dataset, name).version) for name in ("first", "second")}
    made = [current(dataset)]
    later = "2026-11-24T13:00:00.000Z"
    first = record(dataset, "one", outputs=made, environment=packages["first"])
    record(dataset, "two", outputs=made, environment=packages["second"], started=later)
    record(dataset, "three", outputs=made, state=State.CACHED, started=later)

    assert dataset.ok("show", "--packages", first.id) == "a==1\n"
    assert dataset.ok("show", "--packages", "data") == "a==2\nb==1\n"


def test_says_why_there_are_no_packages_to_list(dataset: Cli) -> None:
    none = record(dataset, "none")
    lost = record(dataset, "lost", environment=Environment(packages="b3:" + "e" * 64))
    other = record(dataset, "other", environment=Environment(packages=current(dataset).version))

    assert "no packages are recorded" in dataset.fails(1, "show", "--packages", none.id)
    assert "the list of packages" in dataset.fails(3, "show", "--packages", lost.id)
    assert "is not the list of packages of a run" in dataset.fails(3, "show", "--packages", other.id)
    assert "cannot go together" in dataset.fails(2, "show", "--packages", "--json", none.id)
    assert "no run has an id" in dataset.fails(1, "show", "--packages", "0" * 64)


def test_leaves_out_what_does_not_apply(cli: Cli) -> None:
    made = record(cli, "", command=("a | b",), shell=True, state=State.FAILED, exit_code=3)

    assert cli.ok("show", made.id) == (
        f"run {made.id}\n"
        "state        failed with exit code 3\n"
        "command      a | b\n"
        "shell        yes\n"
        "started      2026-11-23 13:00:00\n"
    )


def test_a_run_before_the_first_commit_has_none_yet(cli: Cli) -> None:
    made = record(cli, "first", dirty=True)

    assert "\ncommit       none yet\n" in cli.ok("show", made.id)


@pytest.mark.parametrize("form", ["{}", "b3:{}"])
def test_takes_the_beginning_of_an_id(cli: Cli, form: str) -> None:
    made = record(cli, "one")
    record(cli, "two")
    digits = made.id.removeprefix("b3:")

    assert cli.ok("show", form.format(digits[:6])).startswith(f"run {made.id}\nname         one\n")
    assert "no run has an id" in cli.fails(1, "show", form.format("0" * 64))
    assert "no dataset is there" in cli.fails(3, "show", digits[:5])


def test_shows_the_runs_that_made_a_version(two_versions: Cli) -> None:
    later = record(two_versions, "again", outputs=[current(two_versions)], started="2026-11-24T13:00:00.000Z")
    first = record(two_versions, "make", outputs=[current(two_versions)])
    record(two_versions, "use", inputs=[current(two_versions)])

    shown = two_versions.ok("show", "data")

    assert [line for line in shown.splitlines() if line.startswith("run ")] == [f"run {first.id}", f"run {later.id}"]
    assert "\n\nrun " in shown
    assert two_versions.ok("show", "HEAD:data") == shown
    assert two_versions.ok("show", "data/a.csv") == shown
    result = two_versions("show", "first:data")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("dver: no run that is recorded made data at b3:")


def test_an_id_that_is_a_dataset_too_is_asked_about(cli: Cli) -> None:
    made = record(cli, "one")
    name = made.id.removeprefix("b3:")[:8]
    cli.write(name, "data")
    cli.ok("add", name)

    err = cli.fails(2, "show", name)

    assert f"{name} is both a run and a dataset" in err
    assert f"dver show run:{name} for the run, dver show ./{name} for the dataset" in err
    assert cli.ok("show", f"run:{name}").startswith("run ")
    assert cli.ok("show", made.id).startswith("run ")
    assert "no run that is recorded made" in cli.fails(1, "show", f"./{name}")


def test_a_dataset_whose_name_could_be_an_id(cli: Cli) -> None:
    cli.write("deadbeef", "data")
    cli.ok("add", "deadbeef")
    made = record(cli, "one", outputs=[current(cli, "deadbeef")])

    assert cli.ok("show", "deadbeef").startswith(f"run {made.id}\n")


def test_says_when_no_runs_are_recorded(dataset: Cli) -> None:
    assert dataset.fails(1, "show", "data") == "dver: no runs are recorded here yet\n"
    assert dataset.fails(1, "show", "123456") == "dver: no runs are recorded here yet\n"
    assert dataset("show", "--json", "data").json == {"runs": [], "damaged_lines": []}


def test_nothing_of_a_record_reaches_the_terminal_as_it_is(dataset: Cli) -> None:
    bad = "\x1b[2J"
    made = record(
        dataset,
        bad,
        [data("a" + bad, kind=bad, props={bad: bad})],
        command=(bad,),
        folder="b" + bad,
        params={bad: bad},
        commit=bad,
        environment=Environment(bad, bad, bad, bad),
        tags={bad: bad},
        key=bad,
        reuses=bad,
        note=bad,
    )

    assert "\x1b" not in dataset.ok("show", made.id)


def test_writes_json(dataset: Cli) -> None:
    made = record(
        dataset, "make", [data("odd\udcff")], [current(dataset)], params={"lr": 0.1}, exit_code=0, seconds=1.5
    )

    (written,) = dataset("show", "--json", made.id[:12]).json["runs"]

    assert written == {
        "id": made.id,
        "state": "complete",
        "name": "make",
        "command": ["python", "make.py"],
        "shell": False,
        "folder": "",
        "started": STARTED,
        "seconds": 1.5,
        "exit_code": 0,
        "inputs": [
            {
                "path": "odd\\xff",
                "version": data("odd\udcff").version,
                "dataset": None,
                "dataset_version": None,
                "kind": "dataset",
                "observed": False,
                "props": {},
            }
        ],
        "outputs": [
            {
                "path": "data",
                "version": current(dataset).version,
                "dataset": None,
                "dataset_version": None,
                "kind": "dataset",
                "observed": False,
                "props": {},
            }
        ],
        "params": {"lr": 0.1},
        "commit": None,
        "dirty": False,
        "environment": {"python": None, "platform": None, "packages": None, "image": None},
        "tags": {},
        "key": None,
        "reuses": None,
        "source": None,
        "note": None,
        "observed": False,
    }
