"""Fixtures that several test files share."""

from __future__ import annotations

import pytest
from transformers import PreTrainedModel

from tests.support.families import ATTENTIONS, FAMILY_NAMES, tiny


@pytest.fixture(params=[f"{family}-{attention}" for family in FAMILY_NAMES for attention in ATTENTIONS])
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    """A tiny float64 model of every family under every attention implementation."""
    family, attention = request.param.split("-")
    return tiny(family, attention)
