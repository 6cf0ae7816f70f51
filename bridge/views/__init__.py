"""What people look at: contact sheets."""

from __future__ import annotations

from bridge.views.sheet import contact_sheet, shrink

__all__ = ["contact_sheet", "shrink"]
