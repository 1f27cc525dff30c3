"""What of a push the remote for data lacks, in the cases that a push by git itself seldom makes."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from dver.errors import BackendError, BackendProblem, ConfigError, UsageError, VersionNotFoundError
from dver.objects.conflict import PointerSides, encode_conflict
from dver.objects.pointer import encode_pointer
from dver.operations.merge import merge_pointers
from dver.operations.pushed import PushCheck, Update, check_pushed, head_update, parse_updates
from tests.clones import Clone, noise
from tests.unit.operations.merging import diverge, merge, pointer_at, write
from tests.unit.operations.watched import Remote

ZERO = "0" * 40
ONE, TWO = "1" * 40, "2" * 40


def check(clone: Clone, *revs: str, known: str = ZERO, send: bool = False) -> PushCheck:
    """Check a push of HEAD or of some revisions to where nothing but `known` is known of."""
    with clone.open() as repo:
        starts = [str(repo.git.resolve(rev)) for rev in revs] or [one.local for one in head_update(repo)]
        return check_pushed(repo, [Update(start, known) for start in starts], send=send)


def missing(checked: PushCheck) -> Sequence[tuple[str, str]]:
    return sorted((one.dataset, one.commit) for one in checked.missing)


@pytest.mark.parametrize(
    ("text", "updates"),
    [
        ("", []),
        ("\n", []),
        (f"refs/heads/a {ONE} refs/heads/a {TWO}\n", [Update(ONE, TWO)]),
        (f"refs/heads/a {ONE} refs/heads/a {TWO}", [Update(ONE, TWO)]),
        (
            f"(delete) {ZERO} refs/heads/a {ONE}\nHEAD {TWO} refs/heads/b {ZERO}\n",
            [Update(ZERO, ONE), Update(TWO, ZERO)],
        ),
        (f":/fix the {ONE} bug {TWO} refs/tags/t {ONE}\n", [Update(TWO, ONE)]),
        (f"HEAD^{{/a\rb\x85c}} {TWO} refs/heads/caf\udcff {ONE}\n", [Update(TWO, ONE)]),
        (f"refs/heads/a {'3' * 64} refs/heads/a {'4' * 64}\n", [Update("3" * 64, "4" * 64)]),
    ],
)
def test_the_lines_of_git_are_understood(text: str, updates: list[Update]) -> None:
    assert parse_updates(text) == updates
    assert [update.is_deletion for update in updates] == [update.local == ZERO for update in updates]


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        " ",
        f"refs/heads/a {ONE} refs/heads/a",
        f"refs/heads/a {ONE[1:]} refs/heads/a {TWO}",
        f"refs/heads/a {'g' * 40} refs/heads/a {TWO}",
        f"refs/heads/a {ONE} refs/heads/a b {TWO}",
        f"refs/heads/a {ONE} refs/heads/a {TWO} ",
        f" {ONE} {TWO}",
    ],
)
def test_other_lines_are_refused(line: str) -> None:
    with pytest.raises(UsageError, match="not a line as git gives it") as caught:
        parse_updates(f"refs/heads/a {ONE} refs/heads/a {TWO}\n{line}\n")
    assert repr(line[:200]) in caught.value.message


def test_before_the_first_commit_there_is_nothing_to_push(clone: Clone) -> None:
    clone.write("data/a", b"1")
    clone.add()
    with clone.open() as repo:
        assert head_update(repo) == []
    assert check(clone) == PushCheck()


def test_what_names_no_commit_brings_nothing(team: Clone, remote: Remote) -> None:
    team.write("data/a.bin", b"new")
    team.save()
    tree, blob = (team.git("rev-parse", rev).strip() for rev in ("HEAD^{tree}", "HEAD:data.dver"))
    with team.open() as repo:
        assert check_pushed(repo, [Update(one, ZERO) for one in (tree, blob, ONE, ZERO)]) == PushCheck()
    assert remote.total == 0


def test_without_new_versions_neither_a_remote_nor_its_settings_are_needed(clone: Clone) -> None:
    assert check(clone) == PushCheck()
    first = clone.commit()
    assert check(clone) == PushCheck()
    clone.write("data/a", b"1")
    commit = clone.save()
    with pytest.raises(ConfigError):
        check(clone, known=first)
    assert check(clone, known=commit) == PushCheck()


def test_a_store_that_is_not_there_yet_lacks_all_and_is_made(tmp_path: Path) -> None:
    clone = Clone.make(tmp_path / "repo", remote=tmp_path / "remote")
    clone.write("data/a", noise(4000))
    commit = clone.save()
    assert missing(check(clone)) == [("data", commit)]
    assert not (tmp_path / "remote").exists()
    sent = check(clone, send=True)
    assert (sent.missing, sent.sent and len(sent.sent.sent.versions)) == ((), 1)
    assert check(clone).missing == ()


def test_one_version_in_several_places_is_named_once_by_its_newest_commit(
    team: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As after a rebase, times say nothing of the order.
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2090-01-01T00:00:00Z")
    team.commit("nothing")
    team.write("data/a.bin", b"new")
    team.save()
    shutil.copytree(team.root / "data", team.root / "copy", symlinks=True)
    newest = team.save("copy")
    (team.root / "code").write_text("code")
    team.commit()
    assert missing(check(team)) == [("copy", newest)]


def test_a_version_that_comes_back_or_moves_is_on_the_remote(team: Clone) -> None:
    first = team.pointer_text()
    team.write("data/a.bin", b"new")
    commit = team.save()
    team.write("data.dver", first.encode())
    team.commit()
    team.git("mv", "data.dver", "moved.dver")
    team.commit()
    assert missing(check(team)) == [("data", commit)]
    assert missing(check(team, known=commit)) == []


def test_the_cache_need_not_have_what_the_remote_has(team: Clone) -> None:
    team.delete_cache()
    checked = check(team, send=True)
    assert (checked.remote, checked.missing, checked.sent) == ("origin", (), None)


def test_pointers_that_cannot_be_read_are_told_and_files_of_the_users_own_are_not(team: Clone) -> None:
    good = team.pointer_text()
    team.write("data.dver", encode_conflict(PointerSides(None, *2 * [pointer_at(team, "HEAD")]), None))
    team.write("notes.dver", b"somebody's own")
    team.write(".DVER/x.dver", good.encode())
    team.write("later.dver", good.replace("format = 1", "format = 99").encode())
    broken = team.commit()
    team.write("data.dver", good.encode())
    team.write("data/a.bin", b"new")
    team.add()
    mended = team.commit()
    checked = check(team)
    assert missing(checked) == [("data", mended)]
    assert [message.partition(":")[0] for message in sorted(checked.unreadable)] == [
        f"{path} in commit {broken[:8]}" for path in (".DVER/x.dver", "data.dver", "later.dver")
    ]
    checked = check(team, broken)
    assert (checked.missing, len(checked.unreadable)) == ((), 3)


def test_a_version_that_only_the_merge_made_is_looked_at(team: Clone) -> None:
    sides = diverge(team, write("data/ours", b"1"), write("data/theirs", b"2"))
    team.push(all_refs=True)
    merge(team)
    with team.open() as repo:
        merged = merge_pointers(repo, "data", sides)
    team.write("data.dver", encode_pointer(merged.pointer))
    commit = team.commit()
    assert missing(check(team)) == [("data", commit)]
    assert check(team, "main^1", "main^2").missing == ()


@pytest.mark.parametrize("is_remote_whole", [True, False])
def test_a_merged_version_is_sent_from_where_its_data_is_not_if_the_remote_has_it(
    team: Clone, tmp_path: Path, is_remote_whole: bool
) -> None:
    sides = diverge(team, write("data/ours", noise(200_000, 3)), write("data/theirs", noise(200_000, 4)))
    team.push(all_refs=True)
    other = team.clone(tmp_path / "other")
    with other.open() as repo:
        merged = merge_pointers(repo, "data", sides)
    other.write("data.dver", encode_pointer(merged.pointer))
    other.commit()
    if not is_remote_whole:
        shutil.rmtree(tmp_path / "remote")
        with pytest.raises(VersionNotFoundError):
            check(other, send=True)
        return
    assert check(other, send=True).missing == ()
    third = other.clone(tmp_path / "third")
    third.pull()
    assert third.data() == {**team.data(), b"theirs": ("file", noise(200_000, 4))}


def test_what_can_be_sent_is_sent_beside_what_cannot(team: Clone) -> None:
    team.write("data/a.bin", b"lost")
    lost = team.save()
    team.delete_cache()
    team.write("second/x", b"here")
    here = team.save("second")
    assert missing(check(team)) == [("data", lost), ("second", here)]
    checked = check(team, send=True)
    assert missing(checked) == [("data", lost)]
    assert checked.sent
    assert len(checked.sent.sent.versions) == 1
    assert "run where they were added" in checked.hint
    assert missing(check(team)) == [("data", lost)]


def test_a_remote_that_does_not_answer_is_an_error_and_not_a_yes(team: Clone, remote: Remote) -> None:
    def fail(_verb: str, _key: str) -> None:
        raise BackendError("the remote", BackendProblem.TIMEOUT, "no answer", transient=True)

    remote.before = fail
    for send in (False, True):
        with pytest.raises(BackendError, match="no answer"):
            check(team, send=send)
    assert remote.total == 0
    assert check(team, known=team.git("rev-parse", "HEAD").strip()) == PushCheck()
