"""Prove that two models compute the same thing."""

from __future__ import annotations

from translate.verify.parity import compare
from translate.verify.verdict import OutputParity, RunParity, Side, Verdict

__all__ = ["OutputParity", "RunParity", "Side", "Verdict", "compare"]
