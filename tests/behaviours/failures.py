"""Behaviours of providers: errors, waits, and parameters that are refused."""

from __future__ import annotations

from behaviours.server import Behaviour

BEHAVIOURS: tuple[Behaviour, ...] = ()
