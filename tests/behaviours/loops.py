"""Behaviours of providers: texts that repeat without end."""

from __future__ import annotations

from behaviours.server import Behaviour

BEHAVIOURS: tuple[Behaviour, ...] = ()
