"""Record: writes what happened into the lineage file, as the last thing of all."""

from datetime import UTC, datetime

from dver.records.record import Record, RecordId
from dver.repo import LINEAGE_FILE, Repo


def now() -> str:
    """Return the time as records have it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write_record(repo: Repo, record: Record, *, stage: bool) -> RecordId:
    """Append a record to the lineage file and, if that is asked for, stage the file."""
    with repo.lock():
        identity = repo.lineage.journal.append(record)
        if stage:
            repo.git.stage([LINEAGE_FILE])
    return identity
