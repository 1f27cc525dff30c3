"""Masking of what looks like a secret in a command, its parameters and its tags, before any of it is recorded.

Told by names (`--password=…`, `api_key=…`), by well-known shapes (access keys of clouds, tokens of services, private
keys), and by their place (passwords in URLs, authorization headers). A word that is masked by mistake costs little; a
secret in git costs much, so doubtful cases are masked. What a shell takes from a variable is no secret.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dver.lineage.record import Scalar

MASK = "***"

_WORD = (
    r"(?:[a-z0-9_.-]*[_.-])?(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key(?:[_-]?id)?"
    r"|secret[_-]?key|private[_-]?key|account[_-]?key|credentials?|signature|sig)"
)
_VALUE = r"\"(?!\$)[^\"]+\"|'[^']+'|[^\s\"'&;|$][^\s\"'&;|]*"
_NAME = re.compile(_WORD, re.IGNORECASE)
_OPTION = re.compile(rf"--?{_WORD}", re.IGNORECASE)
_PATTERNS = tuple(
    re.compile(pattern, flags)
    for pattern, flags in (
        (rf"(?P<keep>(?<![a-z0-9_.-])(?:--?)?{_WORD}=)(?:{_VALUE})", re.IGNORECASE),
        (rf"(?P<keep>(?<![a-z0-9_.-])--?{_WORD}\s+)(?!-)(?:{_VALUE})", re.IGNORECASE),
        (rf"(?P<keep>[\"']{_WORD}[\"']\s*:\s*)(?:{_VALUE})", re.IGNORECASE),
        (r"(?P<keep>(?<![a-z0-9+.-])[a-z][a-z0-9+.-]*://[^/\s:@]*:)[^/\s@$][^/\s@]*(?=@)", re.IGNORECASE),
        (r"(?P<keep>authorization:\s*(?:[a-z]+\s+)?)[^\s\"'$][^\s\"']*", re.IGNORECASE),
        (r"(?P<keep>\bbearer\s+)[^\s\"'$][^\s\"']{7,}", re.IGNORECASE),
        (r"(?P<keep>)\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", 0),
        (r"(?P<keep>)\b(?:gh[pousr]_|github_pat_|glpat-|hf_|xox[abprs]-|sk-)[A-Za-z0-9_-]{16,}", 0),
        (r"(?P<keep>)\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+", 0),
        (r"(?P<keep>-----BEGIN [A-Z ]*PRIVATE KEY-----)[^-]+", 0),
    )
)


@dataclass(frozen=True, slots=True)
class Masked:
    """What may be recorded.

    Attributes:
        found: what was masked, for people: where it was, never what it said.
        decides: whether something of it decides the result of the run, so that no other run can be told to be the same.
    """

    command: tuple[str, ...]
    params: dict[str, Scalar]
    tags: dict[str, str]
    found: tuple[str, ...]
    decides: bool


def mask(command: Sequence[str], params: Mapping[str, Scalar], tags: Mapping[str, str]) -> Masked:
    """Return a command, parameters and tags without what looks like a secret."""
    masked_command = _mask_command(command)
    masked_params = {name: _mask_value(name, value) for name, value in params.items()}
    masked_tags = {name: str(_mask_value(name, value)) for name, value in tags.items()}
    in_command = [_shown(new) for old, new in zip(command, masked_command, strict=True) if old != new]
    in_params = [f"parameter {name}" for name, value in params.items() if masked_params[name] != value]
    in_tags = [f"tag {name}" for name, value in tags.items() if masked_tags[name] != value]
    decides = bool(in_command or in_params)
    return Masked(masked_command, masked_params, masked_tags, (*in_command, *in_params, *in_tags), decides)


def _mask_command(command: Sequence[str]) -> tuple[str, ...]:
    masked: list[str] = []
    for at, word in enumerate(command):
        # `--password VALUE`, as two words.
        named = at > 0 and _OPTION.fullmatch(command[at - 1]) and word and not word.startswith(("-", "$"))
        masked.append(MASK if named else _mask_text(word))
    return tuple(masked)


def _mask_value(name: str, value: Scalar) -> Scalar:
    """Mask by the last part of a name, or by what the value looks like; numbers and truth values are no secrets."""
    if not isinstance(value, str) or not value:
        return value
    own_name = name.rpartition(":")[2]
    return MASK if _NAME.fullmatch(own_name) else _mask_text(value)


def _mask_text(text: str) -> str:
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\g<keep>{MASK}", text)
    return text


def _shown(word: str) -> str:
    """Return a masked word, shortened around its mask."""
    at = word.find(MASK)
    start = max(0, at - 40)
    return ("…" if start else "") + word[start : at + len(MASK)] + ("…" if len(word) > at + len(MASK) else "")
