"""Writes lineage as OpenLineage events, one JSON object a line: of each run a START, and a COMPLETE or FAIL.

A run's id is a UUID made from the id of its record, so the same run has the same one in every clone and every export.
What a run used of a dataset is an input of the whole dataset, limited to that part: that is how it meets the run that
made the dataset. What OpenLineage has no word for is in facets of our own, beside the standard ones.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

import dver
from dver.cli.records import command_line, moments, state_text, title
from dver.cli.wording import text_json
from dver.errors import redact_url
from dver.operations.lineage import ArtifactId, Link, Walk, flows
from dver.records.record import Artifact, Record, State, scalar_text

DEFAULT_NAMESPACE = "dver"
_PRODUCER = f"pkg:pypi/dver@{dver.__version__}"
_CORE = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/"
_FACETS = "https://openlineage.io/spec/facets/"
_EVENT = f"{_CORE}RunEvent"
_SCP_PLACE = re.compile(r"(?:[^@/]+@)?(?P<host>[^:/@]+):(?!//)(?P<path>.+)")
_REMOTE_SCHEMES = ("http", "https", "ssh", "git", "git+ssh")
_Aliases = Mapping[tuple[str, str], Sequence[str]]


def namespace_of(url: str | None) -> str:
    """Return the namespace for a repository whose remote is at `url`; a place on this machine names nothing."""
    parts = urlsplit(url or "")
    scp = None if parts.scheme else _SCP_PLACE.fullmatch(url or "")
    if scp is not None:
        host, path = scp["host"], scp["path"]
    elif parts.scheme in _REMOTE_SCHEMES and parts.hostname:
        host, path = parts.hostname, parts.path
    else:
        return DEFAULT_NAMESPACE
    return f"dver://{host}/{path.strip('/').removesuffix('.git')}"


def openlineage_lines(walks: Sequence[Walk], namespace: str) -> Iterator[str]:
    """Yield the events of all runs of walks from the same artifact, in the order in which the runs began."""
    records = {run: record for walk in walks for run, record in walk.records.items()}
    writer = _Writer(text_json(namespace), _aliases(walks))
    for record in sorted(records.values(), key=lambda record: (record.started, record.id)):
        for event in writer.events(record):
            yield json.dumps(event, ensure_ascii=False, separators=(",", ":"))


def _aliases(walks: Sequence[Walk]) -> _Aliases:
    """Return for each version that was moved the other paths that it is known by."""
    found: dict[tuple[str, str], list[str]] = {}
    for flow in flows(walks):
        if flow.link is Link.SAME and isinstance(flow.source, ArtifactId) and isinstance(flow.target, ArtifactId):
            found.setdefault(flow.source, []).append(flow.target.path)
            found.setdefault(flow.target, []).append(flow.source.path)
    return found


class _Writer:
    """Turns records into events of one namespace."""

    def __init__(self, namespace: str, aliases: _Aliases) -> None:
        self._namespace = namespace
        self._aliases = aliases

    def events(self, record: Record) -> Iterator[dict[str, Any]]:
        """Yield the event of a run's beginning and that of its end; each says all that is known of the run."""
        began, ended = moments(record)
        end = "FAIL" if record.state is State.FAILED else "COMPLETE"
        common = {
            "run": {"runId": str(uuid5(NAMESPACE_URL, f"dver:{record.id}")), "facets": _run_facets(record)},
            "job": {"namespace": self._namespace, "name": _job_name(record), "facets": _job_facets(record)},
            "inputs": [*self._inputs(record), *_source_of(record)],
            "producer": _PRODUCER,
            "schemaURL": _EVENT,
        }
        yield {"eventType": "START", "eventTime": began, **common, "outputs": []}
        yield {"eventType": end, "eventTime": ended, **common, "outputs": list(self._outputs(record))}

    def _inputs(self, record: Record) -> Iterator[dict[str, Any]]:
        """Yield each dataset once, with the parts of it that were used if it was not all of it."""
        for (path, version), used in _by_dataset(record.inputs).items():
            dataset = self._dataset(path, version, used)
            parts = [artifact.path for artifact in used]
            if path not in parts:
                condition = {"type": "location", "locations": [text_json(part) for part in parts]}
                schema = "1-0-0/BaseSubsetDatasetFacet.json#/$defs/InputSubsetInputDatasetFacet"
                dataset["inputFacets"] = {"subset": _standard(schema, inputCondition=condition)}
            yield dataset

    def _outputs(self, record: Record) -> Iterator[dict[str, Any]]:
        for (path, version), made in _by_dataset(record.outputs).items():
            yield self._dataset(path, version, made)

    def _dataset(self, path: str, version: str, artifacts: Sequence[Artifact]) -> dict[str, Any]:
        facets = {
            "version": _standard(
                "1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet", datasetVersion=version
            ),
            "dver": _own("DatasetFacet", artifacts=[_artifact(artifact) for artifact in artifacts]),
        }
        others = self._aliases.get((path, version))
        if others:
            facets["symlinks"] = _standard(
                "1-0-1/SymlinksDatasetFacet.json#/$defs/SymlinksDatasetFacet",
                identifiers=[
                    {"namespace": self._namespace, "name": text_json(other), "type": "FILE"} for other in others
                ],
            )
        return {"namespace": self._namespace, "name": text_json(path), "facets": facets}


def _by_dataset(artifacts: Iterable[Artifact]) -> dict[tuple[str, str], list[Artifact]]:
    found: dict[tuple[str, str], list[Artifact]] = {}
    for artifact in artifacts:
        whole = (artifact.dataset, artifact.dataset_version) if artifact.dataset else (artifact.path, artifact.version)
        found.setdefault(whole, []).append(artifact)
    return found


def _source_of(record: Record) -> Iterator[dict[str, Any]]:
    """Yield where imported data came from, if that is a URL: it is a dataset elsewhere."""
    scheme, found, place = redact_url(record.source).partition("://")
    host, _, path = place.partition("/")
    if found:
        yield {"namespace": text_json(f"{scheme}://{host}"), "name": text_json(path or "/"), "facets": {}}


def _job_name(record: Record) -> str:
    """Return what stays the same from run to run: the name of the step, or what it runs, or what it imports."""
    if record.name:
        return text_json(record.name)
    if record.command:
        return text_json(command_line(record))
    what = "import of" if record.state is State.IMPORTED else "making of"
    return text_json(f"{what} {', '.join(artifact.path for artifact in record.outputs) or 'nothing'}")


def _job_facets(record: Record) -> dict[str, Any]:
    kind = "IMPORT" if record.state is State.IMPORTED else "COMMAND"
    facets = {
        "jobType": _standard(
            "2-0-4/JobTypeJobFacet.json#/$defs/JobTypeJobFacet",
            processingType="BATCH",
            integration="DVER",
            jobType=kind,
        ),
        "documentation": _standard(
            "1-1-0/DocumentationJobFacet.json#/$defs/DocumentationJobFacet", description=title(record)
        ),
    }
    if record.command:
        facets["sourceCode"] = _standard(
            "1-0-1/SourceCodeJobFacet.json#/$defs/SourceCodeJobFacet",
            language="shell",
            sourceCode=text_json(command_line(record)),
        )
    return facets


def _run_facets(record: Record) -> dict[str, Any]:
    environment = record.environment
    facets = {"dver": _own("RunFacet", **_run_facts(record))}
    if record.params:
        parameters = [
            {"key": text_json(name), "name": text_json(name), "value": text_json(scalar_text(value))}
            for name, value in record.params.items()
        ]
        schema = "1-0-0/ExecutionParametersRunFacet.json#/$defs/ExecutionParametersRunFacet"
        facets["executionParameters"] = _standard(schema, parameters=parameters)
    if record.tags:
        tags = [
            {"key": text_json(name), "value": text_json(text), "source": "USER"} for name, text in record.tags.items()
        ]
        facets["tags"] = _standard("1-0-0/TagsRunFacet.json#/$defs/TagsRunFacet", tags=tags)
    if environment.python:
        schema = "1-1-1/ProcessingEngineRunFacet.json#/$defs/ProcessingEngineRunFacet"
        facets["processing_engine"] = _standard(schema, version=text_json(environment.python), name="Python")
    if record.state is State.FAILED:
        facets["errorMessage"] = _standard(
            "1-0-1/ErrorMessageRunFacet.json#/$defs/ErrorMessageRunFacet",
            message=text_json(record.note) or state_text(record),
            programmingLanguage="Python" if environment.python else "unknown",
        )
    return facets


def _run_facts(record: Record) -> dict[str, Any]:
    """Return what is recorded of a run and has no place in OpenLineage; what is empty is left out."""
    environment = record.environment
    texts = {
        "folder": record.folder,
        "commit": record.commit,
        "platform": environment.platform,
        "packages": environment.packages,
        "image": environment.image,
        "reuses": record.reuses,
        "source": redact_url(record.source),
        "note": record.note,
    }
    return {
        "record": record.id,
        "state": record.state.value,
        "dirty": record.dirty,
        **{name: text_json(text) for name, text in texts.items() if text},
        **({} if record.exit_code is None else {"exitCode": record.exit_code}),
    }


def _artifact(artifact: Artifact) -> dict[str, Any]:
    return {
        "path": text_json(artifact.path),
        "version": artifact.version,
        "kind": text_json(artifact.kind),
        "observed": artifact.observed,
        "props": {
            text_json(name): text_json(value) if isinstance(value, str) else value
            for name, value in artifact.props.items()
        },
    }


def _standard(schema: str, **fields: Any) -> dict[str, Any]:
    return {"_producer": _PRODUCER, "_schemaURL": f"{_FACETS}{schema}", **fields}


def _own(base: str, **fields: Any) -> dict[str, Any]:
    """Return a facet of our own, whose schema is that of any facet of its sort: more fields may always be there."""
    return {"_producer": _PRODUCER, "_schemaURL": f"{_CORE}{base}", **fields}
