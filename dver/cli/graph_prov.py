"""Writes lineage as PROV-JSON, the W3C submission of 2013: versions are entities, runs are activities.

A version of PROV comes into being once. So the first run that made a version, unless another used it before, generated
the entity; each other run that made it generated an alternate of its own. This keeps the document within the
constraints of PROV whatever runs did, be it in a circle.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias
from urllib.parse import quote

from dver.cli.graphs import all_artifacts
from dver.cli.records import command_line, moments, title
from dver.cli.wording import path_json, text_json
from dver.errors import redact_url
from dver.objects.ids import VERSION_PREFIX
from dver.operations.lineage import ArtifactId, Link, Node, Walk, flows
from dver.records.record import Artifact, Record, RecordId, State, scalar_text

_PREFIXES = {
    "dver": "urn:dver:term:",
    "run": "urn:dver:run:",
    "version": "urn:dver:version:",
    "source": "urn:dver:source:",
}
_AGENT = "dver:dver"
_Name: TypeAlias = tuple[str, str]


def prov_document(walks: Sequence[Walk]) -> dict[str, Any]:
    """Return walks from the same artifact as a PROV-JSON document."""
    writer = _Writer(walks)
    writer.write()
    return {"prefix": _PREFIXES, **{name: members for name, members in writer.members.items() if members}}


class _Writer:
    """Collects the members of a document by their sort."""

    def __init__(self, walks: Sequence[Walk]) -> None:
        self._walks = walks
        self._records: Mapping[RecordId, Record] = {
            run: record for walk in walks for run, record in walk.records.items()
        }
        self._artifacts = all_artifacts(walks)
        self._generators = _generators(self._records)
        self.members: dict[str, dict[str, Any]] = {}

    def write(self) -> None:
        """Write all."""
        for name, artifact in self._artifacts.items():
            self._add("entity", _entity(name), _entity_facts(artifact))
        for run, record in self._records.items():
            self._write_run(run, record)
        if self._records:
            software = {"$": "prov:SoftwareAgent", "type": "xsd:QName"}
            self._add("agent", _AGENT, {"prov:type": software, "prov:label": "dver"})
        for flow in flows(self._walks):
            self._write_link(flow.source, flow.target, flow.link)

    def _write_run(self, run: RecordId, record: Record) -> None:
        activity = _activity(run)
        self._add("activity", activity, _activity_facts(record))
        self._relate("wasAssociatedWith", {"prov:activity": activity, "prov:agent": _AGENT})
        used = [self._entity_of(artifact) for artifact in record.inputs]
        for entity, artifact in zip(used, record.inputs, strict=True):
            role = {"prov:role": text_json(artifact.kind)} if artifact.kind else {}
            observed = {"dver:observed": True} if artifact.observed else {}
            self._relate("used", {"prov:activity": activity, "prov:entity": entity, **role, **observed})
        if record.source:
            used.append(self._write_source(activity, record))
        for artifact in record.outputs:
            self._write_output(run, artifact, used, is_import=record.state is State.IMPORTED)
        if record.reuses and RecordId(record.reuses) in self._records:
            informant = _activity(RecordId(record.reuses))
            self._relate("wasInformedBy", {"prov:informed": activity, "prov:informant": informant})

    def _write_source(self, activity: str, record: Record) -> str:
        place = text_json(redact_url(record.source))
        entity = f"source:{_local(place)}"
        self._add("entity", entity, {"prov:label": place, "prov:location": place})
        self._relate("used", {"prov:activity": activity, "prov:entity": entity})
        return entity

    def _write_output(self, run: RecordId, artifact: Artifact, used: Sequence[str], *, is_import: bool) -> None:
        name = ArtifactId(artifact.path, artifact.version)
        entity, activity = self._entity_of(artifact), _activity(run)
        if self._generators.get(name) != run:
            first, entity = entity, f"{entity}/of/{_digits(run)}"
            self._add("entity", entity, _entity_facts(artifact))
            self._relate("alternateOf", {"prov:alternate1": entity, "prov:alternate2": first})
        self._relate("wasGeneratedBy", {"prov:entity": entity, "prov:activity": activity})
        kind = {"prov:type": {"$": "prov:PrimarySource", "type": "xsd:QName"}} if is_import else {}
        for source in dict.fromkeys(used):
            self._relate(
                "wasDerivedFrom",
                {"prov:generatedEntity": entity, "prov:usedEntity": source, "prov:activity": activity, **kind},
            )

    def _write_link(self, source: Node, target: Node, link: Link) -> None:
        if not (isinstance(source, ArtifactId) and isinstance(target, ArtifactId)):
            return
        if link is Link.PART:
            whole, part = _entity(source), _entity(target)
            self.members["entity"][whole].setdefault("prov:type", {"$": "prov:Collection", "type": "xsd:QName"})
            self._relate("hadMember", {"prov:collection": whole, "prov:entity": part})
        elif link is Link.SAME:
            self._relate("alternateOf", {"prov:alternate1": _entity(target), "prov:alternate2": _entity(source)})

    def _entity_of(self, artifact: Artifact) -> str:
        """Return the name of an artifact's entity, which is there from now on; walks leave out what they need not."""
        entity = _entity(ArtifactId(artifact.path, artifact.version))
        if entity not in self.members.setdefault("entity", {}):
            self._add("entity", entity, _entity_facts(artifact))
        return entity

    def _add(self, sort: str, name: str, facts: dict[str, Any]) -> None:
        self.members.setdefault(sort, {})[name] = facts

    def _relate(self, sort: str, facts: dict[str, Any]) -> None:
        members = self.members.setdefault(sort, {})
        members[f"_:{sort}{len(members) + 1}"] = facts


def _generators(records: Mapping[RecordId, Record]) -> dict[_Name, RecordId]:
    """Return for each version the run that brought it about: the first to make it, if no other had used it by then."""
    found: dict[_Name, RecordId] = {}
    is_used: set[_Name] = set()
    for run, record in sorted(records.items(), key=lambda item: (item[1].started, item[0])):
        is_used.update((artifact.path, artifact.version) for artifact in record.inputs)
        is_used.update((artifact.dataset, artifact.dataset_version) for artifact in record.inputs if artifact.dataset)
        for artifact in record.outputs:
            name = (artifact.path, artifact.version)
            if name not in is_used:
                found.setdefault(name, run)
    return found


def _activity(run: RecordId) -> str:
    return f"run:{_digits(run)}"


def _digits(run: RecordId) -> str:
    return run.removeprefix(VERSION_PREFIX)


def _entity(name: ArtifactId) -> str:
    scheme, _, digits = name.version.partition(":")
    return f"version:{scheme}/{digits}/{_local(name.path)}"


def _local(text: str) -> str:
    """Return a path or a URL as the end of a qualified name, which may hold few signs, and no dot at its end."""
    quoted = quote(text.encode("utf-8", "surrogateescape"), safe="/").replace("~", "%7E")
    return f"{quoted[:-1]}%2E" if quoted.endswith(".") else quoted


def _entity_facts(artifact: Artifact) -> dict[str, Any]:
    props = [f"{text_json(name)}={text_json(scalar_text(value))}" for name, value in artifact.props.items()]
    return _filled(
        {
            "prov:label": path_json(artifact.path),
            "prov:location": path_json(artifact.path),
            "dver:version": artifact.version,
            "dver:kind": text_json(artifact.kind),
            "dver:property": props,
        }
    )


def _activity_facts(record: Record) -> dict[str, Any]:
    environment = record.environment
    began, ended = moments(record)
    return _filled(
        {
            "prov:startTime": began,
            "prov:endTime": ended,
            "prov:label": title(record),
            "prov:type": {"$": "dver:import" if record.state is State.IMPORTED else "dver:run", "type": "xsd:QName"},
            "dver:record": record.id,
            "dver:name": text_json(record.name),
            "dver:state": record.state.value,
            "dver:exitCode": record.exit_code,
            "dver:command": text_json(command_line(record)),
            "dver:folder": path_json(record.folder),
            "dver:parameter": [
                f"{text_json(name)}={text_json(scalar_text(value))}" for name, value in record.params.items()
            ],
            "dver:tag": [f"{text_json(name)}={text_json(text)}" for name, text in record.tags.items()],
            "dver:commit": text_json(record.commit),
            "dver:dirty": record.dirty or None,
            "dver:python": text_json(environment.python),
            "dver:platform": text_json(environment.platform),
            "dver:packages": text_json(environment.packages),
            "dver:image": text_json(environment.image),
            "dver:reuses": text_json(record.reuses),
            "dver:note": text_json(record.note),
        }
    )


def _filled(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value is not None and value not in ("", [])}
