"""Whether what records say still holds, and what they name can still be had."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from fsspec.core import url_to_fs

from dver.operations.lineage import ArtifactId, find_start
from dver.operations.loose_files import FILE, FOLDER, loose_version
from dver.operations.verify import GIT, WORKSPACE, Finding, Problem, Verdict, Verification, verify
from dver.progress import NO_PROGRESS
from dver.records.record import Artifact, Record, RecordId, State
from tests.clones import Clone, noise
from tests.stores import WatchedBackend
from tests.unit.operations.running import records, request, run

STARTED = "2026-01-01T00:00:00Z"
SPLIT = request(
    "mkdir parts; head -c 3000 raw > parts/a; tail -c 3000 raw > parts/b", inputs=("raw",), outputs=("parts",)
)
TRAIN = request("cat parts/a train.py > model", inputs=("parts/a",), code=("train.py",), outputs=("model",))


@pytest.fixture
def pipeline(tmp_path: Path) -> Clone:
    """Two steps, of which the second uses a part of what the first made, committed."""
    clone = Clone.make(tmp_path / "repo", remote=tmp_path / "store")
    clone.write("raw", noise(6000))
    clone.write("train.py", b"code\n")
    clone.save("raw")
    run(clone, SPLIT)
    run(clone, TRAIN)
    clone.commit()
    return clone


def checked(
    clone: Clone, path: str | None = None, *, run_id: str | None = None, depth: int | None = None
) -> Verification:
    with clone.open() as repo:
        if run_id is not None:
            target: Record | ArtifactId | None = repo.lineage.record(run_id)
            assert target is not None
        else:
            target = None if path is None else find_start(repo, None, path).artifact
        return verify(repo, target, depth=depth)


def findings(found: Verification) -> dict[str, list[Problem]]:
    """Return what is wrong, by path of a version or name of a run."""
    wrong = {
        one.artifact.path: [finding.problem for finding in one.findings] for one in found.artifacts if one.findings
    }
    for one in found.records:
        if one.findings:
            wrong[one.record.name or one.record.id] = [finding.problem for finding in one.findings]
    return wrong


def append(clone: Clone, record: Record) -> Record:
    with clone.open() as repo:
        repo.lineage.journal.append(record)
    return record


def test_all_is_well_after_runs(pipeline: Clone) -> None:
    found = checked(pipeline)

    assert found.verdict is Verdict.OK
    assert [record.verdict for record in found.records] == [Verdict.OK, Verdict.OK]
    assert {(one.artifact.path, one.place) for one in found.artifacts} == {
        ("raw", "the cache"),
        ("parts", "the cache"),
        ("parts/a", "the cache"),
        ("train.py", GIT),
        ("model", "the cache"),
    }


def test_checks_what_led_to_a_version_or_a_run(pipeline: Clone) -> None:
    split, train = (record.id for record in records(pipeline))

    def looked_at(found: Verification) -> tuple[list[RecordId], bool]:
        return [one.record.id for one in found.records], found.is_cut

    assert looked_at(checked(pipeline, "model")) == ([split, train], False)
    assert looked_at(checked(pipeline, "parts")) == ([split], False)
    assert looked_at(checked(pipeline, "raw")) == ([], False)
    assert looked_at(checked(pipeline, run_id=train)) == ([split, train], False)
    assert looked_at(checked(pipeline, "model", depth=1)) == ([train], True)
    assert looked_at(checked(pipeline, run_id=train, depth=1)) == ([train], True)
    assert looked_at(checked(pipeline, run_id=train, depth=2)) == ([split, train], False)


def test_a_version_that_is_nowhere_is_missing(pipeline: Clone) -> None:
    pipeline.delete_cache()

    found = checked(pipeline, "model")

    assert set(findings(found)) == {"raw", "parts", "parts/a", "model"}
    assert {problem for problems in findings(found).values() for problem in problems} == {Problem.NOT_STORED}
    assert found.verdict is Verdict.MISSING
    assert "dver push" in (found.artifacts[0].findings[0].hint or "")


def test_of_a_version_that_no_commit_names_that_is_said(pipeline: Clone) -> None:
    pipeline.write("raw", noise(6000, seed=2))
    pipeline.add("raw")
    run(pipeline, SPLIT)
    pipeline.git("checkout", "--quiet", "HEAD", "--", "raw.dver", "parts.dver")
    pipeline.checkout()
    pipeline.push(all_refs=True)
    pipeline.delete_cache()

    found = checked(pipeline)

    assert findings(found) == {"raw": [Problem.NOT_COMMITTED], "parts": [Problem.NOT_COMMITTED]}
    assert found.verdict is Verdict.MISSING


def test_a_version_that_the_remote_has_is_well(pipeline: Clone) -> None:
    pipeline.push(all_refs=True)
    pipeline.delete_cache()

    found = checked(pipeline)

    assert found.verdict is Verdict.OK
    assert {one.place for one in found.artifacts if one.place != GIT} == {
        f"remote origin ({pipeline.root.parent / 'store'})"
    }


def remote_packs(place: str) -> list[tuple[str, int]]:
    """Return the packs of a remote, the largest first, and their sizes."""
    system, path = url_to_fs(place)
    found = system.find(path, detail=True).values()
    packs = [(one["name"], one["size"]) for one in found if one["name"].endswith(".pack")]
    return sorted(packs, key=lambda pack: -pack[1])


@pytest.mark.parametrize("how", ["a pack", "all packs", "the end of a pack"])
@pytest.mark.parametrize("scheme", ["memory", "folder"])
def test_a_version_of_which_the_remote_lost_something_is_missing(tmp_path: Path, scheme: str, how: str) -> None:
    place = f"memory://{tmp_path.name}" if scheme == "memory" else str(tmp_path / "store")
    clone = Clone.make(tmp_path / "repo", remote=place)
    clone.write("raw", noise(6000))
    clone.save("raw")
    run(clone, request("head -c 5000 raw > made", inputs=("raw",), outputs=("made",)))
    clone.commit()
    clone.push(all_refs=True)
    assert findings(checked(clone)) == {}
    system, _ = url_to_fs(place)
    for name, size in remote_packs(place)[: None if how == "all packs" else 1]:
        data = system.cat_file(name)
        system.rm_file(name)
        if how == "the end of a pack":
            system.pipe_file(name, data[: size - 10])

    # What the cache has is not asked of the remote.
    assert findings(checked(clone)) == {}
    clone.delete_cache()
    found = checked(clone)

    assert findings(found) == {"raw": [Problem.LOST], "made": [Problem.LOST]}
    assert found.verdict is Verdict.MISSING
    assert "dver push --all -r NEW" in (found.artifacts[0].findings[0].hint or "")


def test_of_a_remote_packs_are_listed_once_and_none_is_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = Clone.make(tmp_path / "repo", remote=f"memory://{tmp_path.name}")
    for number in range(3):
        clone.write("raw", noise(6000, seed=number))
        clone.add("raw")
        run(clone, request("head -c 5000 raw > made", inputs=("raw",), outputs=("made",)))
        clone.commit()
    clone.push(all_refs=True)
    clone.delete_cache()
    with clone.open() as repo:
        watched = WatchedBackend(repo.remote().backend)
        monkeypatch.setattr(repo.remote(), "backend", watched)
        found = verify(repo)

    assert findings(found) == {}
    assert watched.calls.count(("list", "packs/")) == 1
    assert not [key for verb, key in watched.calls if verb == "read" and key.startswith("packs/")]
    assert not [key for verb, key in watched.calls if verb == "size"]


def test_of_a_remote_that_does_not_answer_nothing_can_be_told(pipeline: Clone) -> None:
    pipeline.delete_cache()
    config = pipeline.root / ".dver" / "config.toml"
    config.write_text(config.read_text().replace(str(pipeline.root.parent / "store"), "nosuchscheme://bucket"))

    found = checked(pipeline, "model")

    assert set(findings(found)["model"]) == {Problem.NO_ANSWER}
    assert found.verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("what", ["pack", "all packs"])
def test_a_version_of_which_the_cache_lost_something_is_missing(pipeline: Clone, what: str) -> None:
    packs = sorted((pipeline.root / ".dver" / "cache" / "packs").rglob("*.pack"), key=lambda pack: -pack.stat().st_size)
    for pack in packs[: 1 if what == "pack" else None]:
        pack.unlink()

    found = checked(pipeline, "raw")

    assert findings(found) == {"raw": [Problem.BROKEN]}
    assert found.verdict is Verdict.MISSING


def test_a_file_that_git_does_not_have_is_missing(pipeline: Clone) -> None:
    lost = Artifact("lost.py", "git:" + "1" * 40, kind="code")
    append(pipeline, Record(State.COMPLETE, STARTED, name="lost", inputs=(lost,)))

    assert findings(checked(pipeline)) == {"lost.py": [Problem.NO_BLOB]}


def test_a_commit_that_is_not_there_is_missing(pipeline: Clone) -> None:
    append(pipeline, Record(State.COMPLETE, STARTED, name="gone", commit="1" * 40))
    append(pipeline, Record(State.COMPLETE, STARTED, name="no commit", commit="HEAD"))

    found = checked(pipeline)

    assert findings(found) == {"gone": [Problem.NO_COMMIT], "no commit": [Problem.NO_COMMIT]}
    assert found.records[0].findings == (Finding(Problem.NO_COMMIT, "1" * 40),)


def test_in_a_shallow_clone_the_rest_of_git_cannot_be_told(pipeline: Clone, tmp_path: Path) -> None:
    pipeline.push(all_refs=True)
    pipeline.commit("one more")
    append(pipeline, Record(State.COMPLETE, STARTED, name="lost", inputs=(Artifact("x", "git:" + "1" * 40),)))
    pipeline.commit("a record")
    pipeline.git("clone", "--quiet", "--depth", "1", f"file://{pipeline.root}", str(tmp_path / "shallow"))

    found = checked(Clone(tmp_path / "shallow"))

    assert {problem for problems in findings(found).values() for problem in problems} == {Problem.NOT_FETCHED}
    assert found.verdict is Verdict.UNKNOWN


def test_data_that_is_not_what_its_pointer_says_is_changed_here(pipeline: Clone) -> None:
    pipeline.write("parts/b", b"changed")

    found = checked(pipeline, "model")

    # The part that was used is as it was.
    assert findings(found) == {"parts": [Problem.CHANGED]}
    assert found.verdict is Verdict.CHANGED
    pipeline.write("parts/a", b"changed")
    assert findings(checked(pipeline, "model")) == {"parts": [Problem.CHANGED], "parts/a": [Problem.CHANGED]}


def test_data_that_is_not_checked_out_or_has_moved_on_is_well(pipeline: Clone) -> None:
    shutil.rmtree(pipeline.root / "parts")
    pipeline.write("raw", noise(5000, seed=2))
    pipeline.add("raw")
    pipeline.write("raw", b"and changed again")

    assert findings(checked(pipeline, "model")) == {}


def test_a_version_made_by_nobody_where_runs_make_others_cannot_be_told(pipeline: Clone) -> None:
    pipeline.write("parts/a", b"by hand")
    pipeline.add("parts")
    run(pipeline, TRAIN)

    found = checked(pipeline, "model")

    assert findings(found) == {"parts/a": [Problem.NO_MAKER]}
    assert [one.verdict for one in found.records] == [Verdict.UNKNOWN]


def test_raw_data_may_come_in_several_versions(pipeline: Clone) -> None:
    version = "b3:" + "0" * 64
    append(pipeline, Record(State.IMPORTED, STARTED, outputs=(Artifact("raw", version),), source="s3://x/y"))

    assert findings(checked(pipeline, "parts")) == {}


def test_a_part_that_its_dataset_does_not_have_is_missing(pipeline: Clone) -> None:
    used = records(pipeline)[1].inputs[0]
    wrong = [replace(used, path="parts/c"), replace(used, version="b3:" + "1" * 64)]
    append(pipeline, Record(State.COMPLETE, STARTED, name="odd", inputs=tuple(wrong)))

    assert findings(checked(pipeline)) == {"parts/c": [Problem.NO_PART], "parts/a": [Problem.NO_PART]}


def test_a_run_that_reused_another_must_have_its_outputs(pipeline: Clone) -> None:
    run(pipeline, SPLIT)
    split, _, again = records(pipeline)
    assert (again.state, again.reuses) == (State.CACHED, split.id)
    assert findings(checked(pipeline)) == {}
    append(pipeline, replace(again, name="other", outputs=()))
    append(pipeline, replace(again, name="nobody", reuses="b3:" + "1" * 64))

    assert findings(checked(pipeline)) == {"other": [Problem.NOT_REUSED], "nobody": [Problem.NOT_RECORDED]}


def test_what_neither_dver_nor_git_had_may_be_nowhere_but_here(pipeline: Clone) -> None:
    notes = pipeline.write("notes.txt", b"seen\n")
    pipeline.write("folder/a", b"seen\n")
    with pipeline.open() as repo:
        seen = [
            Artifact(path, loose_version(repo, path, kind, NO_PROGRESS) or "", kind=kind, observed=True)
            for path, kind in (("notes.txt", FILE), ("folder", FOLDER))
        ]
    append(pipeline, Record(State.COMPLETE, STARTED, inputs=tuple(seen)))
    append(pipeline, Record(State.COMPLETE, STARTED, outputs=(replace(seen[0], path="log", version="b3:" + "1" * 64),)))

    assert findings(checked(pipeline)) == {}
    assert [one.place for one in checked(pipeline).artifacts if one.artifact in seen] == [WORKSPACE, WORKSPACE]
    notes.write_bytes(b"changed\n")
    shutil.rmtree(pipeline.root / "folder")
    assert findings(checked(pipeline)) == {"notes.txt": [Problem.LOOSE], "folder": [Problem.LOOSE]}


def test_records_that_go_in_a_circle_are_checked_once(pipeline: Clone) -> None:
    raw, model = (
        Artifact(one.path, one.version) for one in (records(pipeline)[0].inputs[0], records(pipeline)[1].outputs[0])
    )
    append(pipeline, Record(State.COMPLETE, STARTED, name="back", inputs=(model,), outputs=(raw,)))

    assert len(checked(pipeline, "model").records) == 3
    assert findings(checked(pipeline, "model")) == {}
