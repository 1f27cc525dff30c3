"""`dver lineage --format prov`."""

import json
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from prov.model import ProvDocument

from dver.records.record import Artifact, Environment, State
from tests.cli.recording import code, current, data, record
from tests.cli.runner import Cli

SCHEMA = json.loads(files("prov.tests").joinpath("schemas", "prov-json.schema.json").read_text())


def export(dataset: Cli, *arguments: str) -> dict[str, Any]:
    """Return an export that the published schema and the `prov` package take."""
    text = dataset.ok("lineage", "--format", "prov", *arguments)
    document: dict[str, Any] = json.loads(text)
    jsonschema.Draft4Validator(SCHEMA).validate(document)
    parsed = ProvDocument.deserialize(content=text, format="json")
    assert parsed is not None
    # Merges what is said twice, and fails where the constraints of PROV do not let it.
    assert parsed.unified() == parsed
    assert ProvDocument.deserialize(content=parsed.serialize(format="json"), format="json") == parsed
    return document


def related(document: dict[str, Any], sort: str, first: str, second: str) -> set[tuple[str, str]]:
    """Return which two members each relation of a sort is between, by their labels."""
    labels = {
        name: facts["prov:label"]
        for kind in ("entity", "activity", "agent")
        for name, facts in document.get(kind, {}).items()
    }
    return {(labels[one[f"prov:{first}"]], labels[one[f"prov:{second}"]]) for one in document.get(sort, {}).values()}


def test_versions_are_entities_and_runs_are_activities(dataset: Cli) -> None:
    made = record(
        dataset,
        "train",
        [data("raw"), code("train.py")],
        [current(dataset, kind="model", props={"rows": 3})],
        params={"params.toml:lr": 0.5},
        tags={"fold": "3"},
        seconds=61.5,
        commit="c" * 40,
        dirty=True,
        exit_code=0,
        environment=Environment(python="3.12.1", platform="linux-x86_64"),
    )

    document = export(dataset, "data")

    title = "train: python train.py"
    assert related(document, "used", "activity", "entity") == {(title, "raw"), (title, "train.py")}
    assert related(document, "wasGeneratedBy", "entity", "activity") == {("data", title)}
    assert related(document, "wasDerivedFrom", "generatedEntity", "usedEntity") == {
        ("data", "raw"),
        ("data", "train.py"),
    }
    assert related(document, "wasAssociatedWith", "activity", "agent") == {(title, "dver")}
    assert document["activity"] == {
        f"run:{made.id.removeprefix('b3:')}": {
            "prov:startTime": "2026-11-23T13:00:00.123Z",
            "prov:endTime": "2026-11-23T13:01:01.623Z",
            "prov:label": title,
            "prov:type": {"$": "dver:run", "type": "xsd:QName"},
            "dver:record": made.id,
            "dver:name": "train",
            "dver:state": "complete",
            "dver:exitCode": 0,
            "dver:command": "python train.py",
            "dver:parameter": ["params.toml:lr=0.5"],
            "dver:tag": ["fold=3"],
            "dver:commit": "c" * 40,
            "dver:dirty": True,
            "dver:python": "3.12.1",
            "dver:platform": "linux-x86_64",
        }
    }
    (entity,) = [facts for name, facts in document["entity"].items() if name.endswith("/data")]
    assert entity["dver:version"] == current(dataset).version
    assert (entity["dver:kind"], entity["dver:property"]) == ("model", ["rows=3"])


def test_a_version_comes_into_being_once(dataset: Cli) -> None:
    first = record(dataset, "make", [data("raw")], [current(dataset)], started="2026-11-23T12:00:00Z")
    second = record(dataset, "make", [data("raw")], [current(dataset)], state=State.CACHED, reuses=first.id)

    document = export(dataset, "data")

    generated = {
        (one["prov:entity"], one["prov:activity"].removeprefix("run:")) for one in document["wasGeneratedBy"].values()
    }
    (entity,) = [name for name in document["entity"] if name.endswith("/data")]
    digits = [made.id.removeprefix("b3:") for made in (first, second)]
    assert generated == {(entity, digits[0]), (f"{entity}/of/{digits[1]}", digits[1])}
    assert related(document, "alternateOf", "alternate1", "alternate2") == {("data", "data")}
    (informed,) = document["wasInformedBy"].values()
    assert (informed["prov:informed"], informed["prov:informant"]) == (f"run:{digits[1]}", f"run:{digits[0]}")


def test_what_was_used_before_it_was_made_is_not_what_was_made(dataset: Cli) -> None:
    record(dataset, "there", [data("other")], [current(dataset)], started="2026-11-23T12:00:00Z")
    record(dataset, "back", [current(dataset)], [data("other")])

    document = export(dataset, "data")

    generated = [one["prov:entity"] for one in document["wasGeneratedBy"].values()]
    used = [one["prov:entity"] for one in document["used"].values()]
    other = next(name for name in used if name.endswith("/other"))
    assert other not in generated
    assert any(name.startswith(f"{other}/of/") for name in generated)


def test_a_dataset_is_a_collection_of_its_parts(dataset: Cli) -> None:
    part = data("split/train", dataset="split", dataset_version=data("split").version)
    record(dataset, "split", [], [data("split")])
    record(dataset, "use", [part], [current(dataset)])

    document = export(dataset, "data")

    assert related(document, "hadMember", "collection", "entity") == {("split", "split/train")}
    (whole,) = [facts for name, facts in document["entity"].items() if name.endswith("/split")]
    assert whole["prov:type"] == {"$": "prov:Collection", "type": "xsd:QName"}


def test_imported_data_comes_from_its_url_without_credentials(dataset: Cli) -> None:
    url = "https://me:secret@example.org/a.csv?sig=secret"
    record(dataset, "", [], [current(dataset)], command=(), state=State.IMPORTED, source=url, note="by hand")

    document = export(dataset, "data")

    assert "secret" not in json.dumps(document)
    assert related(document, "wasDerivedFrom", "generatedEntity", "usedEntity") == {
        ("data", "https://example.org/a.csv")
    }
    (derived,) = document["wasDerivedFrom"].values()
    assert derived["prov:type"] == {"$": "prov:PrimarySource", "type": "xsd:QName"}


def test_a_moved_version_is_an_alternate_of_what_was_made(dataset: Cli) -> None:
    record(dataset, "make", outputs=[current(dataset)])
    dataset.ok("mv", "data", "moved")

    assert related(export(dataset, "moved"), "alternateOf", "alternate1", "alternate2") == {("moved", "data")}


def test_a_version_that_no_run_made_stands_alone(dataset: Cli) -> None:
    record(dataset, "use", [current(dataset)])

    result = dataset("lineage", "--format", "prov", "data")

    assert sorted(result.json) == ["entity", "prefix"]
    assert "no run that is recorded is linked to data" in result.err


@pytest.mark.parametrize("path", ["a b", "dot.", "é", "p\udcff", "a:b,c;d(e)'\"", "-x", "100%~", "new\nline"])
def test_any_path_has_a_name(dataset: Cli, path: str) -> None:
    record(dataset, "make", [Artifact(path, data("x").version)], [current(dataset)])

    document = export(dataset, "data")

    names = [name for name in document["entity"] if not name.endswith("/data")]
    assert len(names) == 1
    assert names[0].isascii()
    assert set(document["entity"][names[0]]["prov:label"]) <= set(path.replace("\udcff", "\\xff"))


def test_any_text_is_valid(dataset: Cli) -> None:
    odd = 'a"\n\udcff\ud800\u2028é'
    record(
        dataset,
        odd,
        [data("raw", kind=odd, props={odd: odd}, observed=True)],
        [current(dataset)],
        command=(odd,),
        params={odd: odd},
        tags={odd: odd},
        environment=Environment(python=odd, image=odd),
        note=odd,
        source=odd,
    )

    text = json.dumps(export(dataset, "data"), ensure_ascii=False)

    assert not any("\ud800" <= letter <= "\udfff" for letter in text)
