"""Which part of datasets a command means: by patterns, or, where it names nothing, by what is chosen here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from dver.errors import PathError
from dver.objects.manifest import Manifest
from dver.objects.pointer import DatasetKind, Pointer
from dver.operations.datasets import Target, decode_path, read_pointer_or_problem, typed
from dver.operations.reading import open_manifest
from dver.operations.wanted import Wanted
from dver.repo import Repo
from dver.workspace.choice import Choice, Patterns, Rule, choose_afresh


def narrowable(
    targets: Sequence[Target], pointers: Mapping[str, Pointer], patterns: Patterns, *, is_named: bool
) -> list[Target]:
    """Return the targets that patterns can narrow; a dataset that is one file is passed over unless it `is_named`.

    Raises:
        PathError: one is named.
    """
    if not patterns:
        return list(targets)
    found = []
    for target in targets:
        if pointers[target.dataset].kind is not DatasetKind.FILE:
            found.append(target)
        elif is_named:
            raise PathError(
                target.dataset,
                "is a single file, of which no part can be chosen",
                hint="--include and --exclude are for datasets that are folders",
            )
    return found


def check_matches(patterns: Patterns, versions: Iterable[tuple[Target, Manifest]]) -> None:
    """Raise PathError for a pattern to include that matches nothing in any of the targets."""
    unmatched = list(patterns.include)
    targets = []
    for target, manifest in versions if unmatched else ():
        targets.append(target)
        choices = {pattern: Choice((Rule(True, target.part, pattern),)) for pattern in unmatched}
        for entry in manifest.entries(target.part):
            unmatched = [pattern for pattern in unmatched if not choices[pattern].covers(entry.path)]
            if not unmatched:
                return
    if unmatched and targets:
        raise no_match(unmatched[0], [target.dataset for target in targets])


def no_match(pattern: str, datasets: Sequence[str]) -> PathError:
    """Return the error for a pattern that matches nothing."""
    own = next((one for one in datasets if pattern.strip("/").startswith(f"{one}/")), None)
    if own is not None:
        hint = f"patterns are relative to the dataset: --include {typed(pattern.strip('/')[len(own) + 1 :])}"
    else:
        hint = f"dver ls -R {typed(datasets[0])} lists what there is"
    where = datasets[0] if len(set(datasets)) == 1 else "the datasets"
    return PathError(pattern, f"matches nothing in {where}", hint=hint)


def choose_wanted(
    repo: Repo, wanted: Sequence[Wanted], patterns: Patterns, *, is_named: bool, whole: bool = False
) -> list[Wanted]:
    """Return what of versions is to be fetched.

    Args:
        is_named: whether a user named what is wanted; else it is what the choice for each dataset here covers.
        whole: whatever the choice, take all.

    Raises:
        PathError: there are patterns for a dataset that is one file.
    """
    if not patterns:
        if is_named or whole:
            return list(wanted)
        bases = repo.stat_cache.bases()
        return [replace(one, choice=bases[one.dataset].choice) if one.dataset in bases else one for one in wanted]
    kinds = {one.dataset: read_pointer_or_problem(repo, one.dataset) for one in wanted}
    pointers = {dataset: pointer for dataset, pointer in kinds.items() if isinstance(pointer, Pointer)}
    others = [Target(one.dataset) for one in wanted if one.dataset in pointers]
    folders = {target.dataset for target in narrowable(others, pointers, patterns, is_named=is_named)}
    return [
        replace(one, part=b"", choice=choose_afresh([one.part] if one.part else [], patterns))
        for one in wanted
        if one.dataset in folders or one.dataset not in pointers
    ]


def check_fetched(repo: Repo, wanted: Sequence[Wanted], patterns: Patterns) -> None:
    """Raise PathError if there is nothing of what was asked for in any of the versions that were fetched."""
    manifests = [(one, open_manifest(repo, one.version, one.dataset)) for one in wanted if not one.is_whole]
    check_matches(patterns, [(Target(one.dataset), manifest) for one, manifest in manifests])
    parts = dict.fromkeys((one.dataset, one.part) for one, _ in manifests if one.part)
    for one, manifest in manifests:
        if one.part and next(manifest.entries(one.part), None) is not None:
            parts.pop((one.dataset, one.part), None)
    for dataset, part in parts:
        raise not_in_dataset(dataset, part)


def not_in_dataset(dataset: str, part: bytes) -> PathError:
    """Return the error for a path that a dataset does not have."""
    hint = f"dver ls {typed(dataset)} lists what is"
    return PathError(f"{dataset}/{decode_path(part)}", f"is not in the dataset {dataset}", hint=hint)
