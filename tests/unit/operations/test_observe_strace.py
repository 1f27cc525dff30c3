"""What the lines of strace say was read and written; the lines are real ones, with other paths."""

import threading
import time
from pathlib import Path

import pytest

from dver.operations.observe_strace import parse_log, read_log


def seen(log: str, folder: str = "/r") -> list[tuple[str, str]]:
    """Return marks and places, in their order."""
    return [(event.mark, event.place) for event in parse_log(log, folder)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('openat(AT_FDCWD</r>, "a", O_RDONLY|O_CLOEXEC) = 3</r/a>', [("R", "/r/a")]),
        ('openat(AT_FDCWD, "a", O_RDONLY) = 3', [("R", "/r/a")]),
        ('open("sub/../a", O_RDONLY) = 3</r/a>', [("R", "/r/a")]),
        ('openat(AT_FDCWD</r>, "link", O_RDONLY) = 3</r/where it is>', [("R", "/r/where it is")]),
        ('openat(5</r/sub>, "a", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 3</r/sub/a>', [("W", "/r/sub/a")]),
        ('openat(AT_FDCWD</r>, "a", O_WRONLY|O_CREAT|O_APPEND, 0666) = 3</r/a>', [("W", "/r/a")]),
        ('openat(AT_FDCWD</r>, "a", O_RDWR|O_CREAT|O_CLOEXEC, 0644) = 3</r/a>', [("U", "/r/a")]),
        ('openat(AT_FDCWD</r>, "a", O_RDWR|O_CREAT|O_EXCL, 0600) = 3</r/a>', [("W", "/r/a")]),
        ('openat(AT_FDCWD</r>, "..", O_RDONLY|O_NONBLOCK|O_DIRECTORY) = 3</r/up>', [("L", "/r/up")]),
        ('openat(AT_FDCWD</r>, "a", O_RDONLY|O_PATH) = 3</r/a>', []),
        ('openat2(AT_FDCWD</r>, "a", {flags=O_RDONLY, resolve=RESOLVE_BENEATH}, 24) = 3</r/a>', [("R", "/r/a")]),
        ('openat(AT_FDCWD</r>, "O_WRONLY", O_RDONLY) = 3</r/O_WRONLY>', [("R", "/r/O_WRONLY")]),
        ('openat(AT_FDCWD</r>, "no", O_RDONLY) = -1 ENOENT (No such file or directory)', []),
        ('creat("a", 0644) = 3</r/a>', [("W", "/r/a")]),
        ('rename("a", "/r/b") = 0', [("D", "/r/a"), ("W", "/r/b")]),
        ('renameat2(AT_FDCWD</r>, "y", 4</r/sub>, "z", RENAME_NOREPLACE) = 0', [("D", "/r/y"), ("W", "/r/sub/z")]),
        ('unlinkat(AT_FDCWD</r>, "z", 0) = 0', [("D", "/r/z")]),
        ('unlink("z") = 0', [("D", "/r/z")]),
        ('truncate("z", 3) = 0', [("U", "/r/z")]),
        ('symlinkat("../target", 3</r/sub>, "name") = 0', [("W", "/r/sub/name")]),
        ('linkat(AT_FDCWD</r>, "a", AT_FDCWD</r>, "b", 0) = 0', [("W", "/r/b")]),
        ('execve("./run.sh", ["./run.sh", "a"], 0x7ffc /* 35 vars */) = 0', [("R", "/r/run.sh")]),
        ('mkdir("new", 0777) = 0', []),
        ("--- SIGCHLD {si_signo=SIGCHLD} ---", []),
        ("+++ exited with 0 +++", []),
    ],
)
def test_a_call_that_succeeded_says_what_was_done(line: str, expected: list[tuple[str, str]]) -> None:
    assert seen(f"17  {line}\n") == expected


@pytest.mark.parametrize(
    ("quoted", "name"),
    [
        (r"a \"q\"\303\251.txt", 'a "q"é.txt'),
        (r"tab\tnew\nline\\", "tab\tnew\nline\\"),
        (r"\377", "\udcff"),
        (r"\1771", "\x7f1"),
        (r"\x41", "A"),
    ],
)
def test_paths_are_as_the_file_system_knows_them(quoted: str, name: str) -> None:
    assert seen(f'17  open("{quoted}", O_RDONLY) = 3\n') == [("R", f"/r/{name}")]


def test_a_call_that_others_interrupt_in_the_log_is_put_together() -> None:
    log = (
        '1  openat(AT_FDCWD</r>, "a", O_RDONLY <unfinished ...>\n'
        '2  openat(AT_FDCWD</r>, "b", O_RDONLY <unfinished ...>\n'
        "1  <... openat resumed>)             = 3</r/a>\n"
        "2  <... openat resumed>)             = -1 ENOENT (No such file or directory)\n"
    )
    assert seen(log) == [("R", "/r/a")]


def test_each_process_has_a_folder_of_its_own_which_it_takes_from_its_parent() -> None:
    log = (
        '1  chdir("sub") = 0\n'
        "1  vfork( <unfinished ...>\n"
        '2  unlink("first") = 0\n'
        '2  chdir("/r/other") = 0\n'
        "1  <... vfork resumed>) = 2\n"
        '2  unlink("second") = 0\n'
        '1  unlink("third") = 0\n'
        "1  clone(child_stack=0x7f, flags=CLONE_VM|CLONE_FS|CLONE_THREAD) = 3\n"
        "3  fchdir(4</r/open>) = 0\n"
        '1  unlink("fourth") = 0\n'
    )
    places = [place for _, place in seen(log)]
    assert places == ["/r/sub/first", "/r/other/second", "/r/sub/third", "/r/open/fourth"]


def test_a_torn_log_says_what_it_can() -> None:
    log = '1  open("a", O_RDONLY) = 3</r/a>\n1  open("b", O_RDO'
    assert seen(log) == [("R", "/r/a")]


def test_a_log_is_read_up_to_the_end_of_its_first_process_however_late_that_is_written(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text('17  open("a", O_RDONLY) = 3\n170 +++ exited with 0 +++\n1')

    def write_on() -> None:
        for piece in ("7  +", "++ exited", " with 0 +++\n", '18  open("b", O_RDONLY) = 3\n'):
            time.sleep(0.03)
            with log.open("a") as file:
                file.write(piece)

    writer = threading.Thread(target=write_on)
    writer.start()
    found = read_log(log, "/r")
    writer.join()
    assert [event.place for event in found][:1] == ["/r/a"]
    assert [event.place for event in read_log(log, "/r")] == ["/r/a", "/r/b"]
