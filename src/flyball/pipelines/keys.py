"""The cache key of a step: a digest of everything that its result may depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from flyball.kernel.canonical import Digest, JsonValue, digest_bytes
from flyball.pipelines.entities import Value
from flyball.pipelines.exchange import Argument, Fields, FromDataset, FromStep, Items, Literal, Plan, PlannedStep

# Raise it when the meaning of a key or the form of a kept value changes.
FORMAT = 1


def step_key(plan: Plan, planned: PlannedStep, outputs: Sequence[Value]) -> Digest:
    """Digest code, arguments, content of the inputs, and the versions of Python, Flyball and every package.

    Not canonical JSON, because that writes 1.0 as 1, and a step may tell the two apart.
    """
    document = {
        "format": FORMAT,
        "step": planned.step,
        "code": planned.code,
        "python": plan.python,
        "flyball": plan.flyball,
        "packages": plan.packages,
        "arguments": {name: _content(argument, outputs) for name, argument in planned.arguments.items()},
    }
    return digest_bytes(msgspec.json.encode(document, order="sorted"))


def dataset_references(arguments: Mapping[str, Argument]) -> list[FromDataset]:
    """Return the dataset versions that a call uses, in order of appearance, each once."""
    found: dict[FromDataset, None] = {}
    pending: list[Argument] = list(arguments.values())
    while pending:
        argument = pending.pop(0)
        match argument:
            case FromDataset():
                found[argument] = None
            case Items():
                pending.extend(argument.items)
            case Fields():
                pending.extend(argument.fields.values())
            case _:
                continue
    return list(found)


def _content(argument: Argument, outputs: Sequence[Value]) -> JsonValue:
    match argument:
        case Literal():
            return {"json": argument.value}
        case FromStep():
            return outputs[argument.position].to_json()
        case FromDataset():
            # The name is left out: equal rows under two names give equal results.
            return {"dataset": argument.digest}
        case Items():
            return {"items": [_content(item, outputs) for item in argument.items]}
        case Fields():
            return {"fields": {key: _content(member, outputs) for key, member in argument.fields.items()}}
        case _:
            return {"file": argument.path}
