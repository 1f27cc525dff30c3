"""Origin: data that is added together with a record of where it came from."""

from typing import Any

import pytest

from dver.errors import PathError, UsageError
from dver.objects.ids import format_version
from dver.operations.descriptions import Description
from dver.operations.origin import Imported, Origin, add_from
from dver.records.record import State
from tests.clones import Clone
from tests.unit.operations.running import records


def imported(clone: Clone, *paths: str, stage: bool = True, **origin: Any) -> Imported:
    with clone.open() as repo:
        return add_from(repo, paths, Origin(**origin), stage=stage)


def staged(clone: Clone) -> list[str]:
    return clone.git("diff", "--cached", "--name-only").splitlines()


def test_the_record_names_the_versions_and_what_was_said(clone: Clone) -> None:
    clone.git("commit", "--quiet", "-m", "set up")
    clone.write("raw/a", b"1")
    clone.write("b", b"2")

    done = imported(clone, "raw", "b", source=" https://example.org/raw.zip ", note="of May")

    [record] = records(clone)
    assert record.id == done.record
    assert (record.state, record.source, record.note) == (State.IMPORTED, "https://example.org/raw.zip", "of May")
    assert [(artifact.path, artifact.version) for artifact in record.outputs] == [
        (added.dataset, format_version(added.pointer.version)) for added in done.result.added
    ]
    assert (record.command, record.inputs, record.exit_code, record.key) == ((), (), None, "")
    assert (record.commit, record.dirty) == (clone.git("rev-parse", "HEAD").strip(), False)


def test_the_lineage_file_is_staged_with_the_pointers(clone: Clone) -> None:
    clone.write("raw", b"1")
    imported(clone, "raw", note="by hand")
    assert {".dver/lineage.jsonl", "raw.dver"} <= set(staged(clone))


def test_nothing_is_staged_unless_wanted(clone: Clone) -> None:
    clone.write("raw", b"1")
    imported(clone, "raw", stage=False, note="by hand")
    assert not {".dver/lineage.jsonl", "raw.dver"} & set(staged(clone))
    assert len(records(clone)) == 1


def test_it_can_be_said_later_of_data_that_is_there(clone: Clone) -> None:
    clone.write("raw", b"1")
    clone.add("raw")
    done = imported(clone, "raw", note="by hand")
    assert not done.result.added[0].changed
    [record] = records(clone)
    assert record.outputs[0].path == "raw"


@pytest.mark.parametrize(
    ("source", "recorded"),
    [
        ("https://me:hunter2@example.org/raw", "https://me:***@example.org/raw"),
        ("https://example.org/raw?X-Amz-Signature=abcdef", "https://example.org/raw?X-Amz-Signature=***"),
        ("s3://bucket/raw", "s3://bucket/raw"),
    ],
)
def test_what_looks_like_a_secret_is_not_recorded(clone: Clone, source: str, recorded: str) -> None:
    clone.write("raw", b"1")
    done = imported(clone, "raw", source=source, note="with --token abcdef")
    [record] = records(clone)
    assert (record.source, record.note) == (recorded, "with --token ***")
    assert len(done.masked) == (1 if source == recorded else 2)


def test_the_record_says_what_the_data_is(clone: Clone) -> None:
    clone.write("raw", b"1")
    clone.write("best", b"2")
    said = {"best": Description("model", {"size": 3, "token": "abc"})}
    done = imported(clone, "raw", "best", note="by hand", descriptions=said)
    [record] = records(clone)
    assert [(one.path, one.kind, one.props) for one in record.outputs] == [
        ("raw", "dataset", {}),
        ("best", "model", {"size": 3, "token": "***"}),
    ]
    assert done.masked == ("property token",)


def test_a_part_of_a_dataset_cannot_be_described(clone: Clone) -> None:
    clone.write("raw/a", b"1")
    clone.add("raw")
    clone.write("raw/a", b"2")
    pointer = clone.pointer_text("raw")
    with pytest.raises(PathError, match="lies within the dataset raw"):
        imported(clone, "raw/a", note="by hand", descriptions={"raw/a": Description("model")})
    assert clone.pointer_text("raw") == pointer
    assert records(clone) == []


def test_a_failed_add_leaves_no_record(clone: Clone) -> None:
    with pytest.raises(PathError):
        imported(clone, "nothing", note="by hand")
    assert records(clone) == []


def test_an_origin_that_says_nothing_is_refused(clone: Clone) -> None:
    clone.write("raw", b"1")
    with pytest.raises(UsageError, match="nothing is said"):
        imported(clone, "raw", source=" ")
    assert not (clone.root / "raw.dver").exists()
