"""`dver lineage --format openlineage`."""

import json
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import jsonschema
import pytest
from openlineage.client import event_v2
from openlineage.client.generated import (
    base_subset_dataset,
    dataset_version_dataset,
    documentation_job,
    error_message_run,
    execution_parameters_run,
    job_type_job,
    processing_engine_run,
    source_code_job,
    symlinks_dataset,
    tags_run,
)

from dver.cli.graph_openlineage import namespace_of
from dver.records.record import Artifact, Environment, Record, State
from tests.cli.recording import code, current, data, record
from tests.cli.runner import Cli
from tests.commands import GitCommand
from tests.openlineage_schema import RUN_EVENT

CLASSES: dict[str, Any] = {
    "executionParameters": execution_parameters_run.ExecutionParametersRunFacet,
    "tags": tags_run.TagsRunFacet,
    "processing_engine": processing_engine_run.ProcessingEngineRunFacet,
    "errorMessage": error_message_run.ErrorMessageRunFacet,
    "jobType": job_type_job.JobTypeJobFacet,
    "documentation": documentation_job.DocumentationJobFacet,
    "sourceCode": source_code_job.SourceCodeJobFacet,
    "version": dataset_version_dataset.DatasetVersionDatasetFacet,
    "symlinks": symlinks_dataset.SymlinksDatasetFacet,
    "subset": base_subset_dataset.InputSubsetInputDatasetFacet,
}
VALIDATOR = jsonschema.Draft202012Validator(RUN_EVENT, format_checker=jsonschema.FormatChecker())


def events(dataset: Cli, *arguments: str) -> list[dict[str, Any]]:
    """Return the events of an export that is all valid."""
    found = [json.loads(line) for line in dataset.ok("lineage", "--format", "openlineage", *arguments).splitlines()]
    for event in found:
        check(event)
    return found


def check(event: dict[str, Any]) -> None:
    """Hold an event to the schema, and to the classes of OpenLineage's own client."""
    VALIDATOR.validate(event)
    run, job = event["run"], event["job"]
    made = event_v2.RunEvent(
        eventType=event_v2.RunState(event["eventType"]),
        eventTime=event["eventTime"],
        run=event_v2.Run(run["runId"], facets(run["facets"])),
        job=event_v2.Job(job["namespace"], job["name"], facets(job["facets"])),
        inputs=[
            event_v2.InputDataset(
                one["namespace"],
                one["name"],
                facets=facets(one["facets"]),
                inputFacets=facets(one.get("inputFacets", {})),
            )
            for one in event["inputs"]
        ],
        outputs=[
            event_v2.OutputDataset(one["namespace"], one["name"], facets=facets(one["facets"]))
            for one in event["outputs"]
        ],
        producer=event["producer"],
    )
    assert made.schemaURL == event["schemaURL"]


def facets(found: dict[str, Any]) -> dict[str, Any]:
    """Return standard facets as the client's classes, which know their fields and where their schema is."""
    made = {}
    for name, facet in found.items():
        if name == "dver":
            continue
        fields = {key: value for key, value in facet.items() if not key.startswith("_")}
        made[name] = CLASSES[name](producer=facet["_producer"], **fields)
        assert made[name]._schemaURL == facet["_schemaURL"]
    return made


def test_a_run_is_a_beginning_and_an_end(dataset: Cli) -> None:
    made = record(
        dataset,
        "train",
        [data("raw"), code("train.py")],
        [current(dataset, kind="model", props={"rows": 3})],
        params={"params.toml:lr": 0.5, "seed": 1},
        tags={"fold": "3"},
        seconds=61.5,
        commit="c" * 40,
        dirty=True,
        folder="models",
        exit_code=0,
        environment=Environment(python="3.12.1", platform="linux-x86_64", packages="b3:1", image="sha256:2"),
    )

    begin, end = events(dataset, "data")

    assert [(event["eventType"], event["eventTime"]) for event in (begin, end)] == [
        ("START", "2026-11-23T13:00:00.123Z"),
        ("COMPLETE", "2026-11-23T13:01:01.623Z"),
    ]
    assert begin["run"] == end["run"]
    assert end["run"]["runId"] == str(uuid5(NAMESPACE_URL, f"dver:{made.id}"))
    assert (end["job"]["namespace"], end["job"]["name"]) == ("dver", "train")
    assert end["job"]["facets"]["sourceCode"]["sourceCode"] == "python train.py"
    assert [one["name"] for one in end["inputs"]] == ["raw", "train.py"]
    assert begin["outputs"] == []
    (output,) = end["outputs"]
    assert (output["namespace"], output["name"]) == ("dver", "data")
    assert output["facets"]["version"]["datasetVersion"] == current(dataset).version
    (artifact,) = output["facets"]["dver"]["artifacts"]
    assert (artifact["kind"], artifact["props"], artifact["observed"]) == ("model", {"rows": 3}, False)
    run = end["run"]["facets"]
    assert [(one["key"], one["value"]) for one in run["executionParameters"]["parameters"]] == [
        ("params.toml:lr", "0.5"),
        ("seed", "1"),
    ]
    assert run["tags"]["tags"] == [{"key": "fold", "value": "3", "source": "USER"}]
    assert run["processing_engine"]["version"] == "3.12.1"
    ours = {name: value for name, value in run["dver"].items() if not name.startswith("_")}
    assert ours == {
        "record": made.id,
        "state": "complete",
        "dirty": True,
        "folder": "models",
        "commit": "c" * 40,
        "platform": "linux-x86_64",
        "packages": "b3:1",
        "image": "sha256:2",
        "exitCode": 0,
    }


def test_runs_come_in_the_order_in_which_they_began(dataset: Cli) -> None:
    record(dataset, "last", [data("a")], [current(dataset)], started="2026-11-23T15:00:00Z")
    record(dataset, "first", [], [data("a")], started="2026-11-23T14:00:00Z")
    record(dataset, "after", [current(dataset)], [data("end")], started="2026-11-23T16:00:00Z")

    names = [event["job"]["name"] for event in events(dataset, "--both", "data")]

    assert names == ["first", "first", "last", "last", "after", "after"]


def test_a_failed_run_says_so(dataset: Cli) -> None:
    record(dataset, "use", [current(dataset)], state=State.FAILED, exit_code=2)
    record(dataset, "why", [current(dataset)], state=State.FAILED, note="an output is missing")

    failed = [event for event in events(dataset, "--down", "data") if event["eventType"] == "FAIL"]

    assert {one["run"]["facets"]["errorMessage"]["message"] for one in failed} == {
        "failed with exit code 2",
        "an output is missing",
    }


def test_a_part_is_an_input_of_its_dataset(dataset: Cli) -> None:
    parts = [data(f"split/{name}", dataset="split", dataset_version=data("split").version) for name in ("a", "b")]
    record(dataset, "split", [], [data("split")], started="2026-11-23T12:00:00Z")
    record(dataset, "use", [*parts, data("other")], [current(dataset)])

    *_, end = events(dataset, "data")

    split, other = end["inputs"]
    assert (split["name"], split["facets"]["version"]["datasetVersion"]) == ("split", data("split").version)
    assert split["inputFacets"]["subset"]["inputCondition"]["locations"] == ["split/a", "split/b"]
    assert [one["version"] for one in split["facets"]["dver"]["artifacts"]] == [part.version for part in parts]
    assert "inputFacets" not in other


def test_imported_data_comes_from_its_url_without_credentials(dataset: Cli) -> None:
    url = "https://me:secret@example.org:8080/raw/a.csv?sig=secret"
    record(dataset, "", [], [current(dataset)], command=(), state=State.IMPORTED, source=url, note="by hand")
    record(dataset, "", [], [current(dataset)], command=(), state=State.IMPORTED, source="a friend")

    found = events(dataset, "data")

    assert "secret" not in json.dumps(found)
    inputs = [(one["namespace"], one["name"]) for event in found for one in event["inputs"]]
    assert inputs == [("https://example.org:8080", "raw/a.csv")] * 2
    assert {event["job"]["name"] for event in found} == {"import of data"}
    assert {event["run"]["facets"]["dver"]["source"] for event in found} == {
        "https://example.org:8080/raw/a.csv",
        "a friend",
    }


def test_a_moved_version_is_known_by_both_names(dataset: Cli) -> None:
    record(dataset, "make", outputs=[current(dataset)])
    dataset.ok("mv", "data", "moved")

    _, end = events(dataset, "moved")

    (output,) = end["outputs"]
    assert [one["name"] for one in output["facets"]["symlinks"]["identifiers"]] == ["moved"]


def test_a_step_without_a_name_is_called_by_its_command(dataset: Cli) -> None:
    record(dataset, "", outputs=[current(dataset)], command=("sort", "a b"))
    record(dataset, "", outputs=[current(dataset)], command=("a | b",), shell=True)
    record(dataset, "", outputs=[current(dataset)], command=())

    assert {event["job"]["name"] for event in events(dataset, "data")} == {"sort 'a b'", "a | b", "making of data"}


def test_any_text_is_valid(dataset: Cli) -> None:
    odd = 'a"\n\udcff\ud800\u2028é'
    made = record(
        dataset,
        odd,
        [Artifact("p\udcff\n", data("x").version, kind=odd, props={odd: odd})],
        [current(dataset)],
        command=(odd,),
        params={odd: odd},
        tags={odd: odd},
        environment=Environment(python=odd),
        note=odd,
        seconds=1e300,
    )
    assert made.name == odd

    text = dataset.ok("lineage", "--format", "openlineage", "data")

    assert len(text.strip("\n").split("\n")) == 2
    assert not any("\ud800" <= letter <= "\udfff" for letter in text)
    for line in text.strip("\n").split("\n"):
        check(json.loads(line))
        assert json.loads(line)["inputs"][0]["name"] == "p\\xff\n"


def test_the_namespace_is_the_place_of_the_repository(dataset: Cli, git: GitCommand) -> None:
    record(dataset, "make", [data("raw")], [current(dataset)])
    git("remote", "add", "origin", "https://me:secret@example.org/team/work.git")

    event = events(dataset, "data")[0]
    assert {event["job"]["namespace"], event["inputs"][0]["namespace"]} == {"dver://example.org/team/work"}

    named = events(dataset, "--namespace", "ours", "data")[0]
    assert {named["job"]["namespace"], named["inputs"][0]["namespace"]} == {"ours"}
    assert "is empty" in dataset.fails(2, "lineage", "--format", "openlineage", "--namespace", "", "data")
    assert "--format openlineage" in dataset.fails(2, "lineage", "--namespace", "ours", "data")


@pytest.mark.parametrize(
    ("url", "namespace"),
    [
        ("https://user:secret@example.org:8443/a/b.git", "dver://example.org/a/b"),
        ("ssh://git@example.org/a/b/", "dver://example.org/a/b"),
        ("git@example.org:a/b.git", "dver://example.org/a/b"),
        ("/home/me/work", "dver"),
        ("../work", "dver"),
        ("file:///home/me/work", "dver"),
        ("", "dver"),
        (None, "dver"),
    ],
)
def test_a_place_on_this_machine_names_nothing(url: str | None, namespace: str) -> None:
    assert namespace_of(url) == namespace


def test_says_what_the_events_leave_out(dataset: Cli) -> None:
    record(dataset, "one", [data("raw")], [data("a")])
    record(dataset, "two", [data("a")], [current(dataset)])

    result = dataset("lineage", "--format", "openlineage", "--depth", "1", "data")
    assert result.code == 0
    assert len(result.out.splitlines()) == 2
    assert result.err == "dver: what is more runs away than --depth allows is left out\n"

    nothing = dataset("lineage", "--format", "openlineage", "--down", "data")
    assert (nothing.code, nothing.out) == (0, "")
    assert "no run that is recorded is linked to data at b3:" in nothing.err


def test_the_same_run_is_the_same_event_in_every_export(dataset: Cli) -> None:
    made: Record = record(dataset, "make", [data("raw")], [current(dataset)])

    assert events(dataset, "data") == events(dataset, "--both", "HEAD:data")
    assert made.id in json.dumps(events(dataset, "data"))
