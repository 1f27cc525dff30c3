"""What may go into a run, and what is said of the rest."""

import shutil

import pytest

from dver.errors import DverError, PathError
from tests.clones import Clone
from tests.unit.operations.conftest import fill
from tests.unit.operations.running import plan, request


@pytest.fixture
def ready(clone: Clone) -> Clone:
    """A clone with a committed dataset in a folder, and files of git's."""
    fill(clone, "in/data")
    clone.write("src/code.py", b"print(1)\n")
    (clone.root / "src" / "link.py").symlink_to("code.py")
    clone.save("in/data")
    return clone


def versions(clone: Clone, *paths: str, **options: bool) -> list[str]:
    return [one.version for one in plan(clone, request("x", inputs=paths), **options).step.inputs]


def refusal(clone: Clone, *paths: str, **given: tuple[str, ...]) -> tuple[str, str]:
    with pytest.raises(DverError) as caught:
        plan(clone, request("x", inputs=paths, **given))
    return caught.value.message, caught.value.hint or ""


def test_a_part_has_the_version_that_it_would_have_as_a_dataset(ready: Clone) -> None:
    shutil.copytree(ready.root / "in/data/sub", ready.root / "copy")
    shutil.copy(ready.root / "in/data/a.bin", ready.root / "file")
    shutil.copytree(ready.root / "in/data/empty", ready.root / "hollow")
    ready.add("copy", "file", "hollow")
    parts = versions(ready, "in/data/sub", "in/data/a.bin", "in/data/empty")
    assert parts == versions(ready, "copy", "file", "hollow")


def test_a_pointer_names_its_dataset_and_repeated_paths_count_once(ready: Clone) -> None:
    found = plan(ready, request("x", inputs=("in/data.dver", "in/data.dver", "src/code.py"), code=("src/code.py",)))
    assert [one.path for one in found.step.inputs] == ["in/data", "src/code.py"]


@pytest.mark.parametrize(
    ("path", "reason", "hint"),
    [
        ("gone", "there is no such file", "dver ls lists the datasets"),
        ("new", "is known neither to dver nor to git", "dver add new, or dver run --add-inputs"),
        ("src", "files that git tracks", "-d src/code.py"),
        ("in", "holds datasets", "-d in/data"),
        ("", "holds datasets", "-d in/data"),
        ("in/data/nothing", "is not in the dataset", "dver ls in/data"),
        ("in/data/link", "is a symbolic link", "name what it points to"),
        ("src/link.py", "is a symbolic link", "name a file"),
    ],
)
def test_what_cannot_be_an_input_is_refused_with_what_helps(ready: Clone, path: str, reason: str, hint: str) -> None:
    ready.write("new", b"1")
    message, helps = refusal(ready, path)
    assert reason in message
    assert hint in helps


def test_files_of_the_environment_are_inputs_of_their_own_kind(ready: Clone) -> None:
    ready.write("lock", b"a==1\n")
    ready.git("add", "lock")
    wanted = request("x", inputs=("in/data", "lock"), code=("src/code.py",), env_files=("lock", "src/code.py"))
    found = plan(ready, wanted).step.inputs
    assert [(one.path, one.kind) for one in found] == [("in/data", "dataset"), ("lock", "env"), ("src/code.py", "env")]


def test_a_file_of_the_environment_is_one_that_git_tracks(ready: Clone) -> None:
    ready.write("new", b"1")
    assert refusal(ready, env_files=("new",)) == ("new: is not tracked by git", "git add new")
    assert "is no file that git tracks" in refusal(ready, env_files=("src",))[0]
    message, helps = refusal(ready, env_files=("in/data/a.bin",))
    assert "is data and no file of the environment" in message
    assert "-d in/data/a.bin" in helps


def test_code_is_a_file_that_git_tracks(ready: Clone) -> None:
    ready.write("new.py", b"1")
    assert refusal(ready, code=("new.py",)) == ("new.py: is not tracked by git", "git add new.py")
    assert "is data and no code" in refusal(ready, code=("in/data/a.bin",))[0]
    assert "one by one" in refusal(ready, code=("src",))[1]
    (ready.root / "src/code.py").unlink()
    assert "git restore src/code.py" in refusal(ready, code=("src/code.py",))[1]


def test_a_changed_dataset_is_refused_or_added(ready: Clone) -> None:
    before = versions(ready, "in/data")
    ready.write("in/data/a.bin", b"changed")
    assert refusal(ready, "in/data") == (
        "in/data: was changed since it was added",
        "dver add in/data, or dver run --add-inputs, takes the change up;"
        " dver checkout --force in/data puts back what was added",
    )
    assert "was changed" in refusal(ready, "in/data/a.bin")[0]
    assert versions(ready, "in/data", add_inputs=True) != before
    assert ready.status("in/data").state.value == "unchanged"


def test_an_input_of_which_files_were_deleted_is_refused_with_what_brings_them_back(ready: Clone) -> None:
    (ready.root / "in/data/a.bin").unlink()
    back = "dver checkout --force in/data puts back what was added"
    assert refusal(ready, "in/data/a.bin") == ("in/data/a.bin: was deleted", back)
    assert refusal(ready, "in/data") == ("in/data: has lost files since it was added", back)


def test_changes_beside_a_part_do_not_matter_to_it(ready: Clone) -> None:
    before = versions(ready, "in/data/sub")
    ready.write("in/data/a.bin", b"changed")
    assert versions(ready, "in/data/sub") == before
    assert versions(ready, "in/data/sub", add_inputs=True) == before
    assert ready.status("in/data").state.value == "modified"


def test_data_that_is_not_here_is_refused_by_where_it_is(team: Clone) -> None:
    team.write("data/a.bin", b"second")
    team.save()
    copy = team.clone(team.root.parent / "second")
    assert refusal(copy, "data")[1] == "dver pull data"
    config = copy.root / ".dver" / "config.toml"
    settings = config.read_text()
    config.write_text("")
    assert refusal(copy, "data")[1] == "dver remote add origin URL, then dver pull data"
    config.write_text(settings)
    copy = team.clone(team.root.parent / "third")
    team.push()
    copy.fetch()
    assert refusal(copy, "data") == ("data: its data is not here", "dver checkout data")
    copy.checkout(None, "data/sub")
    assert refusal(copy, "data") == ("data: is only partly checked out", "dver checkout data")
    assert refusal(copy, "data/zero")[1] == "dver checkout data/zero"
    assert versions(copy, "data/sub/run.sh", "data/sub") == versions(team, "data/sub/run.sh", "data/sub")


def test_data_of_another_version_than_the_pointer_names_is_refused(history: Clone) -> None:
    history.git("checkout", "--quiet", "v1", "--", "data.dver")
    assert refusal(history, "data")[1] == "dver checkout data"


def test_a_broken_pointer_is_reported_as_it_is(ready: Clone) -> None:
    (ready.root / "in/data.dver").write_text("# dver pointer\nformat = 1\n")
    with pytest.raises(DverError, match=r"in/data\.dver"):
        versions(ready, "in/data")


def test_what_cannot_be_added_is_refused_by_add(ready: Clone) -> None:
    ready.write("big/data/x", b"1")
    (ready.root / "big" / "link").symlink_to("data")
    with pytest.raises(PathError, match="is a symbolic link"):
        versions(ready, "big/link", add_inputs=True)
