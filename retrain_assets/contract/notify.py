"""Who is told what: services by the role that has to act, or one list that is told everything."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, get_args

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, model_serializer, model_validator
from pydantic_core import CoreSchema

from retrain_assets.contract.part import Part
from retrain_assets.contract.quantities import NotifyUrl


class Role(StrEnum):
    """The five roles of the contract's owners; each alert belongs to one or two."""

    DATA = "data"
    TRAINING = "training"
    EVALUATION = "evaluation"
    EXPERIMENT = "experiment"
    RELEASE = "release"


def _are_services(value: Any) -> Any:
    """A list of Apprise URLs, unchanged. A fault names the entry's place: the entry may hold a token."""
    for place, entry in enumerate(value if isinstance(value, list) else (), start=1):
        if not (isinstance(entry, str) and _URL.match(entry)):
            raise ValueError(
                f"entry {place} is no Apprise URL; write one as its documentation says for the service, or the variable that "
                "holds it, such as ${CHAT_URL}"
            )
    return value


_URL = re.compile(get_args(NotifyUrl)[1].pattern)
Services = Annotated[list[NotifyUrl], BeforeValidator(_are_services)]


class Notify(Part):
    """Apprise URLs, or ``${NAME}`` of the variable that holds one, by the role that is told. A plain list is ``everything``."""

    everything: Services = Field(default_factory=list, description="Told every alert of every role.")
    data: Services = Field(default_factory=list, description="Told of gate data and of launched retrains.")
    training: Services = Field(default_factory=list, description="Told of gate training.")
    evaluation: Services = Field(default_factory=list, description="Told of gate offline and of drift that is held back.")
    experiment: Services = Field(
        default_factory=list, description="Told of stages, guardrails, looks that cannot be judged, rollbacks and promotions."
    )
    release: Services = Field(
        default_factory=list,
        description="Told of approvals, promotions, rollbacks, expiry, kill switches, freezes, overrides and follow-ups.",
    )

    @model_validator(mode="before")
    @classmethod
    def _a_list_is_everything(cls, value: Any) -> Any:
        if isinstance(value, str):
            raise ValueError('write a list, such as ["${CHAT_URL}"], or a list a role, such as {release: ["${PAGER_URL}"]}')
        return {"everything": value} if isinstance(value, list) else value

    @model_serializer(mode="plain")
    def _as_written(self) -> list[str] | dict[str, list[str]]:
        named = {name: list(urls) for name in type(self).model_fields if (urls := getattr(self, name))}
        return list(self.everything) if set(named) <= {"everything"} else named

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Both forms; the handler gives that of a part with fields."""
        parts = {name: field.description for name, field in cls.model_fields.items()}
        urls = {"type": "array", "items": {"type": "string"}}
        by_role = {
            "type": "object",
            "additionalProperties": False,
            "properties": {name: {**urls, "description": description} for name, description in parts.items()},
        }
        return {"anyOf": [urls, by_role]}

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in type(self).model_fields)

    def told_of(self, role: Role) -> list[str]:
        """The services that are told what belongs to a role, each once."""
        return list(dict.fromkeys((*getattr(self, role.value), *self.everything)))

    def services(self) -> dict[str, tuple[str, frozenset[Role]]]:
        """Every service as written: where it stands first (``release[0]``), and the roles it is told of."""
        found: dict[str, tuple[str, frozenset[Role]]] = {}
        for name in type(self).model_fields:
            roles = frozenset(Role) if name == "everything" else frozenset({Role(name)})
            for place, written in enumerate(getattr(self, name)):
                where = f"[{place}]" if name == "everything" else f".{name}[{place}]"
                first, known = found.get(written, (where, frozenset()))
                found[written] = (first, known | roles)
        return found


__all__ = ["Notify", "Role"]
