"""What a draft owes its outline, checked: every miss is a finding that says where and what.

Pure: text in, findings out. ``check_section`` reads one section as it stands in the draft,
``check_chapter`` what only shows across sections, ``check_text`` what needs no outline.
"""

from expand.contract.chapter import check_chapter
from expand.contract.finding import Finding, Severity
from expand.contract.section import check_section, check_text
from expand.contract.sources import source_findings

__all__ = ["Finding", "Severity", "check_chapter", "check_section", "check_text", "source_findings"]
