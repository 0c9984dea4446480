"""Write `docs/developers/asyncapi.json`, the AsyncAPI 3 document of events and queues: `make asyncapi-docs`.

Everything in it comes from `infra/topology.json`, the routes of the outbox and the schemas of events.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from infra import asyncapi_intake
from paybridge.core.event_schemas import SHARED, read_schema, with_references
from paybridge.core.events import (
    BRIDGE_EVENT,
    CONTENT_TYPE,
    DELIVER_WEBHOOK,
    FIND_LATE_CHANGE,
    INTERNAL_TYPES,
    PROCESS_PAYMENT,
    PUBLIC_TYPES,
    SEND_NOTIFICATION,
    SOURCE,
)
from paybridge.intake.payment_message import MESSAGE_TYPE
from paybridge.outbox.routes import (
    DEAD_LETTER_KEY,
    EVENTS_EXCHANGE,
    INTAKE_KEY,
    PAYMENTS_EXCHANGE,
    WEBHOOKS_KEY,
    route,
)

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/developers/asyncapi.json"
TOPOLOGY = ROOT / "infra/topology.json"
VERSION = "1.0.0"
VIRTUAL_HOST = "/"

Document = dict[str, Any]

COMMANDS = {
    PROCESS_PAYMENT: "Ask the gateway for an operation of a payment.",
    FIND_LATE_CHANGE: "Ask the gateway whether an operation that has ended has changed since.",
    DELIVER_WEBHOOK: "Deliver an event, or go on with a delivery.",
    SEND_NOTIFICATION: "Go on with an e-mail or SMS.",
    BRIDGE_EVENT: "Send an event to the EventBridge bus again.",
}
_BINDING_VERSION = "0.3.0"


def document(topology: Mapping[str, Any]) -> Document:
    """Return the document of a topology."""
    facts = _published_facts()
    messages = {type_: _fact(type_) for type_ in facts} | {type_: _command(type_) for type_ in COMMANDS}
    messages[MESSAGE_TYPE] = asyncapi_intake.message()
    channels = {EVENTS_EXCHANGE: _exchange_channel(topology, facts)}
    channels |= {queue["name"]: _queue_channel(topology, queue, [*messages]) for queue in topology["queues"]}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Paybridge events and queues",
            "version": VERSION,
            "description": "What Paybridge publishes to RabbitMQ, and which queue holds what. Messages are CloudEvents "
            "1.0 in structured JSON. Attach a queue to the exchange payments.events to read events. Send to "
            "payments.intake to order payments.",
            "license": {"name": "Apache License 2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
            "tags": [{"name": "payments", "description": "Payments, refunds and webhooks."}],
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "local": {
                "host": "127.0.0.1:5672",
                "protocol": "amqp",
                "protocolVersion": "0.9.1",
                "description": "The broker of the offline stack.",
            }
        },
        "channels": channels,
        "operations": {_operation_id(name): _operation(name, channel) for name, channel in channels.items()},
        "components": {"messages": messages, "schemas": _schemas()},
    }


def write() -> None:
    """Write the document of the repository's topology."""
    topology = json.loads(TOPOLOGY.read_text(encoding="utf-8"))
    PAGE.write_text(json.dumps(document(topology), indent=2) + "\n", encoding="utf-8")


def _published_facts() -> list[str]:
    return [type_ for type_ in (*PUBLIC_TYPES, *INTERNAL_TYPES) if route(type_)[0] is not None]


def _exchange_channel(topology: Mapping[str, Any], facts: Iterable[str]) -> Document:
    (exchange,) = [each for each in topology["exchanges"] if each["name"] == EVENTS_EXCHANGE]
    return {
        "address": EVENTS_EXCHANGE,
        "description": "Everything that happened and that others may act on. The routing key is the type.",
        "messages": _references(type_ for type_ in facts if route(type_)[0] == EVENTS_EXCHANGE),
        "bindings": {
            "amqp": {
                "is": "routingKey",
                "exchange": {
                    "name": exchange["name"],
                    "type": exchange["type"],
                    "durable": exchange["durable"],
                    "autoDelete": False,
                    "vhost": VIRTUAL_HOST,
                },
                "bindingVersion": _BINDING_VERSION,
            }
        },
    }


def _queue_channel(topology: Mapping[str, Any], queue: Mapping[str, Any], types: Iterable[str]) -> Document:
    name = queue["name"]
    bindings = [each for each in topology["bindings"] if each["destination"] == name]
    held = [type_ for type_ in types if type_ != MESSAGE_TYPE and _reaches(type_, bindings)]
    if name == DEAD_LETTER_KEY:
        description = "Messages that no retry can mend, of any other queue. The dead-letters function records them."
    elif name == INTAKE_KEY:
        held = [MESSAGE_TYPE]
        description = (
            f"Payments ordered by message: publish to the exchange {PAYMENTS_EXCHANGE} with the routing key {name}. "
            f"What orders no payment goes to {DEAD_LETTER_KEY} with the reason."
        )
    else:
        description = f"What the queue {name} holds. A message that fails goes to {DEAD_LETTER_KEY}."
    return {
        "address": name,
        "description": description,
        "messages": _references(held),
        "bindings": {
            "amqp": {
                "is": "queue",
                "queue": {
                    "name": name,
                    "durable": queue["durable"],
                    "exclusive": False,
                    "autoDelete": False,
                    "vhost": VIRTUAL_HOST,
                },
                "bindingVersion": _BINDING_VERSION,
            }
        },
    }


def _reaches(type_: str, bindings: Iterable[Mapping[str, str]]) -> bool:
    exchange, key = route(type_)
    keys = {(exchange, key)}
    if type_ == DELIVER_WEBHOOK:
        # Both lanes take the command.
        keys.add((PAYMENTS_EXCHANGE, WEBHOOKS_KEY))
    return any(
        each["source"] == source and _is_match(each["routing_key"], routing_key)
        for each in bindings
        for source, routing_key in keys
    )


def _is_match(pattern: str, key: str) -> bool:
    """Tell whether an exchange routes the key by the pattern, in which `*` is one word."""
    return re.fullmatch(re.escape(pattern).replace(r"\*", "[^.]+"), key) is not None


def _operation_id(name: str) -> str:
    return f"send to {name}" if name == INTAKE_KEY else f"read {name}"


def _operation(name: str, channel: Document) -> Document:
    if name == INTAKE_KEY:
        return {
            "action": "send",
            "channel": {"$ref": f"#/channels/{name}"},
            "summary": "Order a payment.",
            "description": channel["description"],
            "tags": [{"name": "payments"}],
        }
    what = "events" if name == EVENTS_EXCHANGE else f"the queue {name}"
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{name}"},
        "summary": f"Read {what}.",
        "description": channel["description"],
        "tags": [{"name": "payments"}],
    }


def _references(types: Iterable[str]) -> Document:
    return {type_: {"$ref": f"#/components/messages/{type_}"} for type_ in types}


def _fact(type_: str) -> Document:
    schema = read_schema(type_)
    return {
        "name": type_,
        "title": schema["title"],
        "summary": schema["description"],
        "contentType": CONTENT_TYPE,
        "payload": _envelope(type_, schema["properties"]["data"]),
    }


def _command(type_: str) -> Document:
    return {
        "name": type_,
        "title": type_,
        "summary": COMMANDS[type_],
        "description": "A command of Paybridge to itself. Its members may change with any release.",
        "contentType": CONTENT_TYPE,
        "payload": _envelope(type_, {"type": "object"}),
    }


def _envelope(type_: str, data: Document) -> Document:
    """Return the schema of the CloudEvent with this data."""
    members: Document = {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "format": "uuid", "description": "The same on every delivery. Handle each id once."},
        "source": {"const": SOURCE},
        "type": {"const": type_},
        "subject": {"type": "string", "format": "uuid", "description": "What the event is about."},
        "subjecttype": {"type": "string", "description": "Absent for a payment."},
        "paymentid": {"type": "string", "format": "uuid", "description": "The payment of another subject."},
        "time": {"type": "string", "format": "date-time"},
        "datacontenttype": {"const": "application/json"},
        "merchantid": {"type": "string", "format": "uuid"},
        "correlationid": {"type": "string"},
        "sequence": {"type": "string", "pattern": "^[0-9]{10}$", "description": "Counts the events of the subject."},
        "data": with_references(_without_sequence(data), {name: f"#/components/schemas/{name}" for name in SHARED}),
    }
    required = ["specversion", "id", "source", "type", "subject", "time", "merchantid", "correlationid", "data"]
    return {"type": "object", "properties": members, "required": required}


def _without_sequence(data: Document) -> Document:
    """Return the schema of an event's data: the sequence stands in the envelope, and in the data of webhooks alone."""
    changed: Document = {**data}
    if "allOf" in data:
        changed["allOf"] = [_without_sequence(part) for part in data["allOf"]]
    if "properties" in data:
        changed["properties"] = {name: part for name, part in data["properties"].items() if name != "sequence"}
    if "required" in data:
        changed["required"] = [name for name in data["required"] if name != "sequence"]
    return changed


def _schemas() -> Document:
    schemas: Document = {}
    for name in SHARED:
        schema = read_schema(name)
        schema.pop("$schema", None)
        # The parts of a schema stand beside it, because a reference begins at the root of this document.
        parts = schema.pop("$defs", {})
        schema = json.loads(json.dumps(schema).replace("#/$defs/", "#/components/schemas/"))
        schemas |= parts
        schemas[name] = with_references(schema, {each: f"#/components/schemas/{each}" for each in SHARED})
    return schemas


if __name__ == "__main__":
    write()
