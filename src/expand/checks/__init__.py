"""Check a draft against its outline: every miss is a finding that says where and what.

Pure: text in, findings out. ``check_section`` reads one section as it stands in the draft,
``check_chapter`` what only shows across sections, ``check_text`` what needs no outline, and
``source_findings`` looks for the source's blocks in the draft. ``not_ignored`` leaves out what is silenced.
"""

from expand.checks.finding import Finding, Severity
from expand.checks.registry import check_chapter, check_section, check_text, not_ignored
from expand.checks.requirements import source_findings

__all__ = ["Finding", "Severity", "check_chapter", "check_section", "check_text", "not_ignored", "source_findings"]
