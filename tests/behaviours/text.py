"""Behaviours of providers: what stands around, in and at the end of a text."""

from __future__ import annotations

from behaviours.server import Behaviour

BEHAVIOURS: tuple[Behaviour, ...] = ()
