"""What OpenLineage 2-0-2 asks of an event, as a JSON schema in words of our own.

The schemas that OpenLineage publishes are in no Python package. This one is written from its specification and states
what is required there, for events and for the standard facets that dver writes; tests hold its output to this, and to
the classes of the `openlineage-python` package, which are made from the published schemas.
"""

from typing import Any

CORE = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/"
FACETS = "https://openlineage.io/spec/facets/"

_TEXT: dict[str, Any] = {"type": "string"}
_URI: dict[str, Any] = {"type": "string", "format": "uri"}
_MOMENT: dict[str, Any] = {"type": "string", "format": "date-time"}


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"type": "object", "properties": {**required, **(optional or {})}, "required": list(required)}


def _list_of(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _facet(schema: str, required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the schema of a standard facet, which names its own published schema."""
    own = {"_producer": _URI, "_schemaURL": {"const": schema}}
    return _object({**own, **required}, optional)


def _facets(known: dict[str, Any]) -> dict[str, Any]:
    any_facet = _object({"_producer": _URI, "_schemaURL": _URI})
    return {"type": "object", "properties": known, "additionalProperties": any_facet}


def _standard(name: str, version: str, required: dict[str, Any], optional: dict[str, Any] | None = None) -> Any:
    return _facet(f"{FACETS}{version}/{name}.json#/$defs/{name}", required, optional)


_PARAMETER = _object({"key": _TEXT}, {"name": _TEXT, "description": _TEXT, "value": _TEXT})
_TAG = _object({"key": _TEXT, "value": _TEXT}, {"source": _TEXT})
_IDENTIFIER = _object({"namespace": _TEXT, "name": _TEXT, "type": _TEXT})
_LOCATIONS = _object({"type": {"const": "location"}, "locations": _list_of(_TEXT)})

_RUN_FACETS = {
    "executionParameters": _standard("ExecutionParametersRunFacet", "1-0-0", {}, {"parameters": _list_of(_PARAMETER)}),
    "tags": _standard("TagsRunFacet", "1-0-0", {}, {"tags": _list_of(_TAG)}),
    "processing_engine": _standard("ProcessingEngineRunFacet", "1-1-1", {"version": _TEXT}, {"name": _TEXT}),
    "errorMessage": _standard("ErrorMessageRunFacet", "1-0-1", {"message": _TEXT, "programmingLanguage": _TEXT}),
    "dver": _facet(f"{CORE}RunFacet", {"record": _TEXT, "state": _TEXT}),
}
_JOB_FACETS = {
    "jobType": _standard(
        "JobTypeJobFacet", "2-0-4", {"processingType": {"const": "BATCH"}, "integration": _TEXT}, {"jobType": _TEXT}
    ),
    "documentation": _standard("DocumentationJobFacet", "1-1-0", {"description": _TEXT}),
    "sourceCode": _standard("SourceCodeJobFacet", "1-0-1", {"language": _TEXT, "sourceCode": _TEXT}),
}
_DATASET_FACETS = {
    "version": _standard("DatasetVersionDatasetFacet", "1-0-1", {"datasetVersion": _TEXT}),
    "symlinks": _standard("SymlinksDatasetFacet", "1-0-1", {}, {"identifiers": _list_of(_IDENTIFIER)}),
    "dver": _facet(f"{CORE}DatasetFacet", {"artifacts": {"type": "array"}}),
}
_SUBSET = _facet(
    f"{FACETS}1-0-0/BaseSubsetDatasetFacet.json#/$defs/InputSubsetInputDatasetFacet", {"inputCondition": _LOCATIONS}
)
_DATASET = {"namespace": _TEXT, "name": _TEXT}

RUN_EVENT: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    **_object(
        {
            "eventTime": _MOMENT,
            "producer": _URI,
            "schemaURL": {"const": f"{CORE}RunEvent"},
            "run": _object({"runId": {"type": "string", "format": "uuid"}}, {"facets": _facets(_RUN_FACETS)}),
            "job": _object({"namespace": _TEXT, "name": _TEXT}, {"facets": _facets(_JOB_FACETS)}),
        },
        {
            "eventType": {"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]},
            "inputs": _list_of(
                _object(_DATASET, {"facets": _facets(_DATASET_FACETS), "inputFacets": _facets({"subset": _SUBSET})})
            ),
            "outputs": _list_of(_object(_DATASET, {"facets": _facets(_DATASET_FACETS), "outputFacets": _facets({})})),
        },
    ),
}
