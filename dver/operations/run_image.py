"""The container image that a command runs in: found in the words of `docker run` and `podman run`, asked of the same
program.

The image is the first word behind the options, so it must be known of each option whether it takes a value. At an
option that is not known, or an image that only the shell knows, nothing is said: a wrong digest is worse than none.
A program that does not answer, or not in time, leaves the digest out and never stops a run.
"""

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PROGRAMS = ("docker", "podman")
_DIGEST = re.compile(r"[a-z0-9]+:[0-9a-f]{32,}")
_PATIENCE = 10.0
_SHELL_SIGNS = frozenset("$`*?;|&<>()")
_QUESTION = "[{{json .Id}}, {{json .RepoDigests}}]"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What `docker --help` and `podman --help` list, and the same for `run`. An option in none of these is not known.
_PROGRAM_FLAGS = _words(
    """
    D debug tls tlsverify r remote syslog noout transient-store
    """
)
_PROGRAM_VALUES = _words(
    """
    H c cgroup-manager config conmon connection context events-backend hooks-dir host identity imagestore l
    log-level module network-cmd-path network-config-dir out root runroot runtime runtime-flag ssh
    storage-driver storage-opt tlscacert tlscert tlskey tmpdir url volumepath
    """
)
_RUN_FLAGS = _words(
    """
    P d detach disable-content-trust env-host help http-proxy i init interactive no-healthcheck no-hostname
    no-hosts oom-kill-disable passwd privileged publish-all q quiet read-only read-only-tmpfs replace rm rmi
    sig-proxy t tls-verify tty unsetenv-all use-api-socket
    """
)
_RUN_VALUES = _words(
    """
    a add-host annotation arch attach authfile blkio-weight blkio-weight-device c cap-add cap-drop cert-dir
    cgroup-conf cgroup-parent cgroupns cgroups chrootdirs cidfile conmon-pidfile cpu-count cpu-percent
    cpu-period cpu-quota cpu-rt-period cpu-rt-runtime cpu-shares cpus cpuset-cpus cpuset-mems creds
    decryption-key detach-keys device device-cgroup-rule device-read-bps device-read-iops device-write-bps
    device-write-iops dns dns-opt dns-option dns-search domainname e entrypoint env env-file env-merge expose
    gidmap gpus group-add group-entry h health-cmd health-interval health-log-destination health-max-log-count
    health-max-log-size health-on-failure health-retries health-start-interval health-start-period
    health-startup-cmd health-startup-interval health-startup-retries health-startup-success
    health-startup-timeout health-timeout hostname hosts-file hostuser image-volume init-ctr init-path
    intel-rdt-closid io-maxbandwidth io-maxiops ip ip6 ipc isolation kernel-memory l label label-file link
    link-local-ip log-driver log-opt m mac-address memory memory-reservation memory-swap memory-swappiness mount
    name net net-alias network network-alias oom-score-adj os p passwd-entry personality pid pidfile pids-limit
    platform pod pod-id-file preserve-fd preserve-fds publish pull rdt-class requires restart retry retry-delay
    runtime sdnotify seccomp-policy secret security-opt shm-size shm-size-systemd stop-signal stop-timeout
    storage-opt subgidname subuidname sysctl systemd timeout tmpfs tz u uidmap ulimit umask unsetenv user userns
    uts v variant volume volume-driver volumes-from w workdir
    """
)


@dataclass(frozen=True, slots=True)
class Image:
    """An image as it is on this machine.

    Attributes:
        name: as the command has it.
        digest: what records call it: `NAME@sha256:…` as a registry has it, or the id of one that is in none.
        aliases: all that a record may call the same image.
    """

    name: str
    digest: str
    aliases: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Use:
    """The image that a command names, and the program with its own options, which say where that looks for images."""

    program: tuple[str, ...]
    name: str


def find_image(words: Sequence[str], folder: Path, env: Mapping[str, str]) -> Image | None:
    """Return the image that a command would run in now; None where it runs in none, or that cannot be told.

    Args:
        words: the program and its arguments.
        folder: where it runs.
        env: its environment.
    """
    use = _find_use(words)
    if use is None:
        return None
    _, at, digest = use.name.partition("@")
    if at:
        # The name says it all, whatever is on this machine.
        return Image(use.name, use.name, frozenset((use.name,))) if _DIGEST.fullmatch(digest) else None
    return _ask(use, folder, env)


def _find_use(words: Sequence[str]) -> _Use | None:
    if not words or Path(words[0]).name not in _PROGRAMS:
        return None
    verb = _after_options(words, 1, _PROGRAM_FLAGS, _PROGRAM_VALUES)
    if verb is None:
        return None
    rest = list(words[verb:])
    if rest[:1] == ["container"]:
        del rest[0]
    at = _after_options(rest, 1, _RUN_FLAGS, _RUN_VALUES) if rest[:1] == ["run"] else None
    image = "" if at is None else "".join(rest[at : at + 1])
    return None if not image or _SHELL_SIGNS & set(image) else _Use(tuple(words[:verb]), image)


def _after_options(words: Sequence[str], start: int, flags: frozenset[str], values: frozenset[str]) -> int | None:
    """Return where the first word behind the options is; None after one that is not known."""
    at = start
    while at < len(words) and words[at].startswith("-") and words[at] != "-":
        if words[at] == "--":
            return at + 1
        length = _option_length(words[at], flags, values)
        if length is None:
            return None
        at += length
    return at


def _option_length(word: str, flags: frozenset[str], values: frozenset[str]) -> int | None:
    """Return how many words an option is: 2 with the value in the next one; None if it is not known."""
    if word.startswith("--"):
        name, equals, _ = word[2:].partition("=")
        if name in flags or (equals and name in values):
            return 1
        return 2 if name in values else None
    for at, letter in enumerate(word[1:], start=1):
        if letter in values:
            return 1 if word[at + 1 :] else 2
        if letter not in flags:
            return None
        if word[at + 1 : at + 2] == "=":
            return 1
    return 1


def _ask(use: _Use, folder: Path, env: Mapping[str, str]) -> Image | None:
    try:
        done = subprocess.run(
            [*use.program, "image", "inspect", "--format", _QUESTION, use.name],
            cwd=folder,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            check=True,
        )
        identity, names = json.loads(done.stdout)
        known = [name for name in names or () if _DIGEST.fullmatch(name.partition("@")[2])]
    except (OSError, ValueError, TypeError, AttributeError, subprocess.SubprocessError):
        return None
    # Podman leaves out of an id what docker writes before it.
    own = f"sha256:{str(identity).removeprefix('sha256:')}"
    if not _DIGEST.fullmatch(own):
        return None
    return Image(use.name, _preferred(known, use.name) or own, frozenset((own, *known)))


def _preferred(known: Sequence[str], name: str) -> str:
    """Return the one of an image's names in registries that is most like the name in the command, "" for none."""
    repository = name.rpartition(":")[0] if ":" in name.rpartition("/")[2] else name
    return min(known, key=lambda one: (not f"/{one.partition('@')[0]}".endswith(f"/{repository}"), one), default="")
