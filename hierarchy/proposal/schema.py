"""What a proposal file must contain, checked by pydantic; loaded only when a file is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hierarchy.errors import FormatError, in_one_sentence, validation_problems
from hierarchy.proposal.proposal import DoubtKind, Witness


class VoteRow(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    witness: Witness
    node: str
    strength: Annotated[float, Field(ge=0, le=1)]
    why: str


class DoubtRow(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    kind: DoubtKind
    weight: Annotated[float, Field(ge=0, le=1)]
    why: str


class ClassRow(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    id: str
    name: str
    definition: str
    superclass: str | None
    group: str | None
    votes: list[VoteRow]
    replies: list[str]
    doubts: list[DoubtRow] = []

    @model_validator(mode="after")
    def _is_placed_or_not(self) -> ClassRow:
        if (self.superclass is None) != (self.group is None):
            raise ValueError("superclass and group must both be strings or both be null")
        return self


class ProposalContent(BaseModel):
    model_config = ConfigDict(strict=True)

    digest: str
    source: str
    provenance: dict[str, Any]
    classes: Annotated[list[ClassRow], Field(min_length=1)]


def parse(content: Mapping[str, Any], where: str) -> ProposalContent:
    """The content of a proposal file.

    Raises:
        FormatError: it has missing, unknown or wrong fields; all of them are named.
    """
    try:
        return ProposalContent.model_validate(content)
    except ValidationError as error:
        raise FormatError(f"{where}: {in_one_sentence('', validation_problems(error))}") from None
