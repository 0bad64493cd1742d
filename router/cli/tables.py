"""What `-o table` shows, and what a person on a terminal gets for a list."""

from collections.abc import Callable, Mapping
from typing import Any

Row = dict[str, object]
Resource = Mapping[str, Any]
Table = Callable[[Any], list[Row]]


def _table(row: Callable[[Resource], Row]) -> Table:
    """A row for each of the results, or for the only one."""

    def rows(result: list[Resource] | Resource) -> list[Row]:
        return [row(each) for each in (result if isinstance(result, list) else [result])]

    return rows


@_table
def endpoints(each: Resource) -> Row:
    """Endpoints, or one."""
    return {
        "Name": each["name"],
        "Auth": each["auth_mode"],
        "Traffic": _weights(each["traffic"]),
        "Mirror": _weights(each["mirror_traffic"]),
        "State": each["provisioning_state"],
        "ScoringUri": each["scoring_uri"],
    }


@_table
def deployments(each: Resource) -> Row:
    """Deployments, or one."""
    ready = sum(instance["state"] == "ready" for instance in each["instances"])
    return {
        "Name": each["name"],
        "Endpoint": each["endpoint_name"],
        "Kind": each["kind"],
        "Weight": f"{each['traffic_percent']:g} %",
        "Mirror": f"{each['mirror_percent']:g} %",
        "Ready": f"{ready}/{len(each['instances'])}",
        "State": each["provisioning_state"],
        "Reason": each["reason"],
    }


@_table
def models(each: Resource) -> Row:
    """Models, or one."""
    return {**_asset(each), "Type": each.get("type") or "", "Description": each.get("description") or ""}


@_table
def environments(each: Resource) -> Row:
    """Environments, or one."""
    return {**_asset(each), "Description": each.get("description") or ""}


@_table
def operations(each: Resource) -> Row:
    """Operations, or one."""
    return {
        "Id": each["id"],
        "Started": _second(each["started"]),
        "Command": each["command"],
        "Endpoint": each["endpoint"],
        "Deployment": each["deployment"],
        "Status": each["status"],
        "Reason": each["reason"],
    }


@_table
def versions(each: Resource) -> Row:
    """Versions of the config file."""
    note = ["current"] if each["is_current"] else []
    note += [] if each["is_applied"] else ["never in force"]
    note += [f"brings back {each['restores']}"] if each["restores"] is not None else []
    return {
        "Number": each["number"],
        "Applied": _second(each["applied"]),
        "Source": each["source"],
        "Lines": f"+{each['added']} -{each['removed']}",
        "Note": ", ".join(note),
    }


@_table
def events(each: Resource) -> Row:
    """Log events."""
    said = {"timestamp", "level", "event", "process"}
    fields = " ".join(f"{name}={value}" for name, value in each.items() if name not in said and value is not None)
    return {"Time": each.get("timestamp"), "Level": each.get("level"), "Event": each.get("event"), "Fields": fields}


def _asset(each: Resource) -> Row:
    return {
        "Name": each["name"],
        "Version": each["version"],
        "Created": _second(each["creation_time"]),
        "Archived": "yes" if each["is_archived"] else "",
    }


def _weights(weights: Mapping[str, float]) -> str:
    return " ".join(f"{name}={percent:g}" for name, percent in weights.items())


def _second(time: str) -> str:
    """A time without its fractions."""
    return time[:19].replace("T", " ")
