"""What a push finds on a remote: which versions are there, and whether its store is whole as far as lists show.

A push counts on what the remote has. So before anything is sent, or said to be there, what the remote's index says is
held against a list of what is there. A pack that is gone or cut off is made again from the cache, under the same name;
a description that is gone is written again. Where that cannot be done the push ends here, for to send more to a store
that has lost something would only hide it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dver.errors import IntegrityError, and_more
from dver.objects.ids import PackId, VersionId
from dver.operations.chunk_sizes import params_of
from dver.operations.proof import Evidence, gather_evidence
from dver.repo import Repo
from dver.storage.description import DESCRIPTION_KEY, description_problem, encode_description
from dver.storage.lost_packs import make_again
from dver.storage.open import inner_of
from dver.storage.packs import pack_key
from dver.storage.store import Store


@dataclass(frozen=True, slots=True)
class PushState:
    """What a push found.

    Attributes:
        evidence: what a list shows, after what could be restored was.
        restored: keys of what the store had lost, and has again.
    """

    evidence: Evidence
    restored: tuple[str, ...]

    def has(self, version: VersionId) -> bool:
        """Whether a version needs nothing more."""
        return version in self.evidence.held and version not in self.evidence.remark


def find_state(repo: Repo, name: str, versions: Sequence[VersionId]) -> PushState:
    """Look at a remote before a push of some versions, and restore of its store what can be.

    Raises:
        IntegrityError: packs are lost that the cache cannot make again.
    """
    target = repo.remote(name)
    relisted, had_data = target.index.relisted, target.index.pack_count() > 0
    evidence = gather_evidence(target, repo.cache, versions)
    if had_data and evidence.description is None and not target.index.pack_count():
        place = target.backend.location
        target.note(f"{name} is empty, and was not when it was last looked at: is {place} in its place?")
    restored: list[str] = []
    if evidence.lost:
        with target.kept():
            restored += [pack_key(pack) for pack in make_again(target, evidence.lost, repo.cache)]
        evidence = gather_evidence(target, repo.cache, versions)
    if evidence.lost:
        raise _lost(target, name, sorted(evidence.lost))
    if target.index.relisted > relisted:
        restored.append("index/")
    restored += _restore_description(repo, target, evidence, name)
    return PushState(evidence, tuple(restored))


def _lost(target: Store, name: str, lost: Sequence[PackId]) -> IntegrityError:
    return IntegrityError(
        f"{target.backend.location}/{pack_key(lost[0])}",
        f"the pack is gone or cut off{and_more(len(lost))}, and not all that was in it is in the cache",
        hint=f"dver fsck --remote {name} --repair brings back what can be had, and says what cannot",
    )


def _restore_description(repo: Repo, target: Store, evidence: Evidence, name: str) -> Iterator[str]:
    """Write descriptions again that are gone, and yield their keys."""
    params = params_of(repo, repo.cache)
    is_used = bool(evidence.held or evidence.broken or target.index.pack_count())
    if evidence.description is None and is_used:
        target.prepare(params)
        yield DESCRIPTION_KEY
    elif evidence.description not in {None, len(encode_description(params))}:
        damage = description_problem(target.backend, target.name)
        if damage is not None:
            raise IntegrityError(damage.where, damage.reason, hint=f"dver fsck --remote {name} --repair") from damage
    if is_used and repo.remote_settings(name).encrypt:
        # Deferred: few remotes are encrypted.
        from dver.storage.keyring import describe  # noqa: PLC0415

        if describe(inner_of(target.backend)):
            yield DESCRIPTION_KEY
