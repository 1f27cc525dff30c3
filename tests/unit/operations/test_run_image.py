"""The image in the words of a command, and what the program says of it; a stand-in answers for docker."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dver.operations import run_image
from dver.operations.run_environment import present_image
from dver.operations.run_image import Image, find_image
from tests.clones import Clone
from tests.unit.operations.running import reasons, records, request, run

ID = "sha256:" + "a" * 64
OTHER_ID = "sha256:" + "b" * 64
IN_REGISTRY = "tool@sha256:" + "c" * 64

# Answers with the content of a file named like the image, notes what it is asked, and runs what comes behind the image.
STAND_IN = """\
#!/bin/sh
here=$(dirname "$0")
printf '%s\\n' "$*" >> "$here/asked"
while [ "$1" != image ] && [ "$1" != run ]; do shift; done
verb=$1
shift
if [ "$verb" = image ]; then
    shift 3
    exec cat "$here/images/$1"
fi
while [ "$1" != tool ]; do shift; done
shift
exec "$@"
"""


@dataclass(frozen=True)
class Engine:
    """A program that stands in for docker."""

    folder: Path

    @property
    def env(self) -> Mapping[str, str]:
        return {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}"}

    def has(self, identity: str, digests: Sequence[str] | None = (), name: str = "tool") -> None:
        (self.folder / "images" / name).write_text(json.dumps([identity, digests]))

    @property
    def asked(self) -> list[str]:
        path = self.folder / "asked"
        return path.read_text().splitlines() if path.exists() else []

    def find(self, *words: str) -> Image | None:
        return find_image(words, self.folder, self.env)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    folder = tmp_path / "bin"
    (folder / "images").mkdir(parents=True)
    for name in ("docker", "podman"):
        (folder / name).write_text(STAND_IN)
        (folder / name).chmod(0o755)
    made = Engine(folder)
    made.has(ID)
    return made


@pytest.mark.parametrize(
    "words",
    [
        "docker run tool",
        "docker container run tool",
        "podman run tool sort x",
        "docker run --rm -it tool python --env x",
        "docker run -v /a:/b --volume=/c:/d -e A=1 --env B=2 --user 1:2 tool",
        "docker run -itv /a:/b -w/work -p=1:2 tool",
        "docker run --rm=false -i=true --gpus all --init tool",
        "docker run -- tool",
        "docker --context far -H tcp://h run --network none tool",
        "podman --remote run --userns keep-id --rmi tool",
    ],
)
def test_the_image_is_the_first_word_behind_the_options(engine: Engine, words: str) -> None:
    found = engine.find(*words.split())
    assert found is not None
    assert (found.name, found.digest) == ("tool", ID)


@pytest.mark.parametrize(
    "words",
    [
        "docker",
        "docker run",
        "docker run --rm",
        "docker run -v",
        "docker ps",
        "docker compose run tool",
        "docker run --unheard-of x tool",
        "docker run -Z tool",
        "docker --unheard-of run tool",
        "docker run $IMAGE",
        "docker run missing",
        "sudo docker run tool",
        "echo docker run tool",
        "docker run tool@sha256:nonsense",
    ],
)
def test_nothing_is_said_of_an_image_that_cannot_be_told(engine: Engine, words: str) -> None:
    assert engine.find(*words.split()) is None


def test_the_programs_own_options_go_with_the_question(engine: Engine) -> None:
    engine.find("docker", "--context", "far", "run", "--rm", "tool", "x")
    [asked] = engine.asked
    assert asked.startswith("--context far image inspect --format ")
    assert asked.endswith(" tool")


def test_a_name_from_a_registry_is_preferred_to_the_id(engine: Engine) -> None:
    other = "abc.example:5000/other@sha256:" + "d" * 64
    engine.has(ID, [other, IN_REGISTRY])
    found = engine.find("docker", "run", "tool")
    assert found == Image("tool", IN_REGISTRY, frozenset((ID, IN_REGISTRY, other)))
    engine.has(ID.removeprefix("sha256:"), None)
    assert engine.find("podman", "run", "tool") == Image("tool", ID, frozenset((ID,)))


def test_a_digest_in_the_command_needs_no_question(engine: Engine) -> None:
    found = engine.find("docker", "run", IN_REGISTRY)
    assert found is not None
    assert found.digest == IN_REGISTRY
    assert engine.asked == []


@pytest.mark.parametrize(
    "answer", ["", "no json", "[]", "{}", "[1, 2, 3]", '["sha256:xyz", []]', '["", 3]', '["", [3]]']
)
def test_an_answer_that_is_none_leaves_the_image_out(engine: Engine, answer: str) -> None:
    (engine.folder / "images" / "tool").write_text(answer)
    assert engine.find("docker", "run", "tool") is None


def test_a_program_that_hangs_or_is_missing_leaves_the_image_out(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (engine.folder / "docker").write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(run_image, "_PATIENCE", 0.2)
    began = time.monotonic()
    assert engine.find("docker", "run", "tool") is None
    assert time.monotonic() - began < 30
    assert find_image(["docker", "run", "tool"], engine.folder, {"PATH": "/nowhere"}) is None


def test_a_line_for_the_shell_has_an_image_if_its_first_program_does(engine: Engine) -> None:
    def found(line: str) -> bool:
        return present_image([line], engine.folder, engine.env, shell=True) is not None

    assert found("docker run --rm -v \"$PWD\":/x tool sort 'a b' > out")
    assert not found("cat x | docker run tool")
    assert not found("DOCKER_HOST=tcp://h docker run tool")
    assert not found("docker run 'tool")
    assert not found("docker run tool; x")
    assert not found("")


def test_a_changed_image_is_not_served_from_the_cache(clone: Clone, engine: Engine) -> None:
    wanted = replace(request("docker run --rm tool touch out", outputs=("out",)), env=engine.env)
    first = run(clone, wanted)
    assert records(clone)[0].environment.image == ID
    assert reasons(clone, wanted) == []

    # The same one, after it was pushed.
    engine.has(ID, [IN_REGISTRY])
    assert reasons(clone, wanted) == []

    engine.has(OTHER_ID)
    assert reasons(clone, wanted) == [("image", "tool")]
    run(clone, wanted)
    assert records(clone)[-1].environment.image == OTHER_ID
    assert reasons(clone, wanted) == []

    # Going back restores.
    engine.has(ID)
    cached = run(clone, wanted)
    assert records(clone)[-1].reuses == first.record
    assert cached.restored is not None


def test_an_image_that_is_not_known_is_not_held_against_a_run(clone: Clone, engine: Engine) -> None:
    wanted = replace(request("docker run --rm tool touch out", outputs=("out",)), env=engine.env)
    (engine.folder / "images" / "tool").unlink()
    run(clone, wanted)
    assert records(clone)[0].environment.image == ""
    engine.has(ID)
    assert reasons(clone, wanted) == []
    run(clone, wanted, force=True)
    (engine.folder / "images" / "tool").unlink()
    assert reasons(clone, wanted) == []
    # Once it is known of one run, it decides.
    engine.has(OTHER_ID)
    assert reasons(clone, wanted) == [("image", "tool")]


def test_commands_without_an_image_ask_nothing(clone: Clone, engine: Engine) -> None:
    wanted = replace(request("touch out", outputs=("out",)), env=engine.env)
    run(clone, wanted)
    run(clone, wanted)
    assert engine.asked == []
