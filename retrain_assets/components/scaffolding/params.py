"""What may be said on the command line of ``dg scaffold defs``; everything else is read from the source."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class RetrainParams(BaseModel):
    """Options of the scaffold. What is left out is inferred, asked for on a terminal, or refused by name."""

    model_config = ConfigDict(extra="forbid")

    source: str | None = Field(default=None, description="Parquet file or glob, or folder of a Delta table.")
    label: str | None = Field(default=None, description="Column that is predicted.")
    unit: str | None = Field(default=None, description="Column that stays on one arm: customer, account, order, aircraft.")
    event_time: str | None = Field(default=None, description="Column with the moment of the prediction.")
    known: str | None = Field(
        default=None, description="Columns known before the prediction though they say much of the label: carrier,dest."
    )
    task: str | None = Field(default=None, description="binary_classification, multiclass or regression.")
    label_delay: str | None = Field(default=None, description="How long after the event the label is known, such as 1d.")
    owner: str | None = Field(default=None, description="Who answers for the model: team:NAME or an e-mail address.")
    approver: str | None = Field(default=None, description="Who approves promotions, an e-mail address.")
    approver_key: str | None = Field(default=None, description="File of the approver's public SSH key, such as ~/.ssh/id.pub.")
    purpose: str | None = Field(default=None, description="What the model is for, in one sentence.")
    model: str | None = Field(default=None, description="Name of the model; by default that of the folder.")
