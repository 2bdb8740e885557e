"""Behaviours of providers: shapes of bodies, streams and usage."""

from __future__ import annotations

from behaviours.server import Behaviour

BEHAVIOURS: tuple[Behaviour, ...] = ()
