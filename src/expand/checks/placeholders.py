"""Check for placeholders: what stands for something that was left out.

In code that is a comment ("rest omitted"), a stub (``todo!()``, ``raise NotImplementedError``) or an ellipsis that
is all of a body; in prose a mark (TODO), a blank, or a passage that puts the matter off ("left as an exercise").
A text about such marks is none: what a passage beside a block names, the block may show.
"""

import re

from expand.checks.finding import Finding, Severity, excerpt, finding
from expand.markdown import blocks
from expand.markdown.blocks import Block

COMMENT_CHARACTERS = 400
"""How much of a comment is looked at: a longer line is data, and slow to search."""
WHOLE_CHARACTERS = 80
"""A passage that only puts matter off is no longer than this."""

_COMMENT = re.compile(r"(?:^|\s)(?://+!?|#+|--|;+|/\*+|<!--|\(\*|\"\"\"|\*)\s*(?P<said>\S.*)$")
_MARK = r"(?:TODO|FIXME|XXX)"
_REST = (
    r"(?:rest|remaining|remainder|other|existing|previous|omitted|omitting|unchanged|elided|"
    r"implementation|code|logic|same\s+as|similar|truncated|snip(?:ped)?)"
)
_TRAILING = r"(?:rest|remaining|remainder|other|existing|previous|omitted|unchanged|elided)"
_WHAT = r"(?:code|implementation|logic|body|details?|content|text|methods?|functions?|fields?|parts?|variants?|listing)"
_GONE = r"(?:omitted|elided|left\s+out|not\s+shown|skipped)"
_DOTS = r"(?:\.{3,}|…+)"
_EXERCISE = (
    r"(?:(?:\bis|\bare|\bbe|^\W*(?:the\s+)?\w+|^\W*)\s+left\s+(?:\w+\s+){0,4}as\s+an?\s+exercise|"
    r"\bleaves?\b[^.\n]{0,60}\s(?:as\s+an?\s+exercise|(?:to|for)\s+the\s+reader\s+as)|"
    r"留给读者(?:作为|当作|自行|完成|练习|实现)|留[作为]练习|留作(?:读者的?)?(?:习题|作业)|"
    r"请读者自行(?:完成|实现|补充))"
)
_WHY = r"(?:\s+(?:here|below))?\s+(?:for\s+(?:brevity|clarity|space)|to\s+save\s+space)"
_SPACE_ZH = (
    r"(?:限于(?:文章)?篇幅|(?:文章)?篇幅(?:所限|有限|限制|原因|关系))(?:的)?(?:原因)?[，,]?.{0,16}"
    r"(?:省略|从略|略去|不再|不做|不予|未列出)"
)
_LEFT_OUT_ZH = (
    r"(?:此处|这里|其余|其他|其它|剩余|后续|中间|部分|具体|以下|以上|详细|相关)(?:的)?"
    r"(?:代码|内容|实现|部分|逻辑|步骤|方法|函数|字段|细节)?"
    r"(?:[已均]?省略(?!号|了)|略去|从略|同上|略(?![微高低有过大小])|(?:与|和)(?:上[面文述]|前[面文])(?:相同|一致|类似))"
    r"|(?:代码|实现|内容)(?:此处)?(?:已|暂)?(?:省略(?!号|了)|从略|略(?=\W*$|[)）]))|[（(]\s*(?:省略|略)\s*[)）]"
    r"|省略(?:了)?(?:其余|其他|其它|剩余|部分|具体|后续|若干)|待(?:补充|完善|填写|续写|实现)(?=\W*$)"
    r"|(?:在此|此处|这里)(?:添加|填写|插入|实现|编写|写入)(?:[您你]的)?.{0,8}(?:代码|逻辑|内容|实现|图表?)"
)
_IN_CODE = re.compile(
    rf"""(?xi)
      ^\W*(?-i:{_MARK})\b(?!\s*(?:list|app|item|comment)s?\b)
    | ^{_DOTS}.*\b{_REST}\b | \b{_TRAILING}\b.*{_DOTS}\s*(?:\*/|-->)?\s*$
    | \b(?:rest|remaining|remainder|other|existing|previous)\b.{{0,60}}
        \b(?:omitted|elided|unchanged|goes\s+here|left\s+out|not\s+shown|as\s+before|(?:remains?|stays?)\s+the\s+same)\b
    | \b(?:your|add|insert|put|write)\b.{{0,30}}\b{_WHAT}\b.{{0,15}}\bhere\b
    | \b{_WHAT}\b.{{0,20}}\b(?:goes\s+here|{_GONE})\b
    | ^\W*(?:the\s+)?(?:rest|remainder|remaining\s+\w+)\s+of\s+(?:the|this|your)\s+\w+\W*$
    | ^\W*(?:omitted|elided|snip(?:ped)?)\b(?:\s+for\s+(?:brevity|clarity)|\W*$)
    | \b{_GONE}{_WHY}\b | {_EXERCISE} | {_SPACE_ZH}
    | ^\W*(?:implement\s+(?:this|me|it|here)|not\s+(?:yet\s+)?implemented(?:\s+yet)?|to\s+be\s+implemented)\W*$
    | ^\W*(?:(?:similar\s+to|same\s+as)\s+(?:the\s+)?(?:above|before|previous\s+\w+)|etc|and\s+so\s+on)\W*$
    | {_LEFT_OUT_ZH} | ^\W*(?:省略|略|实现略|未实现|待实现)\W*$
    """
)
_NOT_DONE = r"(?:not[\s_-]*(?:yet[\s_-]*)?implemented|unimplemented|todo\b|未实现|尚未实现)"
_STUB = re.compile(
    rf"""(?xi)
      ^\s*(?:.*[\s=({{>])?(?-i:todo|unimplemented)!\s*[(\[{{]
    | \b(?:panic!?|fatalError|(?:throw(?:\s+new)?|raise)\s+\w+|abort|die)\s*\(\s*["'`][^"'`]{{0,20}}{_NOT_DONE}
    | ^\s*(?:.*:\s*)?(?-i:raise\s+NotImplementedError)\b
    | \bthrow\s+new\s+NotImplemented\w*\( | ^\s*(?:.*=\s*)?(?-i:TODO)\(
    """
)
_ABSTRACT = re.compile(r"abstract|\bABC\b|Protocol|overload|interface|[Ss]ubclass|\.pyi|-> [^:]+: \.\.\.")
ABSTRACT_ROWS = 8
"""Lines above a stub in which a word says that it is meant: an abstract method, an interface."""
_DOC = re.compile(r"\s*[rR]?(\"{3}|'{3}).*\1\s*$")
_ELLIPSIS = re.compile(rf"^\s*(?:(?://+|#|--|/\*|;)\s*)?{_DOTS}\s*(?:\*/)?\s*;?\s*$")
_PROGRAM = re.compile(
    r"rust|rs|python3?|py|javascript|jsx?|typescript|tsx?|go|c|cpp|c\+\+|h|hpp|java|kotlin|kt|swift|cs|csharp|ruby|rb|php"
)
_IN_PROSE = re.compile(
    rf"""(?xi)
      ^[\W_]*(?-i:TODO|FIXME|TBD|XXX|WIP)(?:\b[\s*_]*[:：(\[-]|\W*$|\s+(?:补充|完善|编写|添加|实现|待))
    | [\[<{{]\s*(?:insert|your|add|put|fill\s+in|describe)\b[^\]>}}\n]{{0,60}}?
        (?:\bhere\b[^\]>}}]{{0,20}}|\b(?:code|content|text|example|description|section|explanation|results|diagram))
        \s*[\]>}}](?![(\[:])
    | [\[(]\s*(?:(?:a\s+)?placeholder(?:\s+for|\s*[:：])|(?-i:TODO|TBD|FIXME)\b)[^\])\n]{{0,60}}[\])](?![(\[:])
    | [\[(]\s*(?:{_DOTS}\s*)?(?:the\s+)?(?:(?:full\s+)?(?:rest|remaining|remainder|content|code|listing)\b)
        [^\])\n]{{0,60}}\b(?:omitted|here|continues|truncated|unchanged)\b[^\])\n]{{0,30}}[\])]
    | \b(?:code|section|content|rest|remainder|remaining|steps?|listing|details?|parts?)\b[^.\n]{{0,40}}
        \b{_GONE}{_WHY}\b
    | {_EXERCISE} | \blorem\s+ipsum\b | {_SPACE_ZH}
    | [（(\[【]\s*(?:{_LEFT_OUT_ZH})[^)）\]】\n]{{0,12}}[)）\]】]
    | ^\W*(?:此处|这里|以下|其余)(?:内容|部分|代码|实现)?(?:省略|从略|略)\W*$ | ^\W*占位(?:符|文本|图)?[:：]
    """
)
_WHOLE = re.compile(
    rf"""(?xi)[\W_]*(?:
      {_DOTS} | coming\s+soon | more\s+(?:to\s+(?:come|follow)|coming\s+soon)
    | (?:details?|content|text)\s+(?:to\s+follow|coming\s+soon)\b.*
    | (?:this|the)\s+(?:section|chapter|part|page|content)\s+is\s+(?:still\s+)?
        (?:under\s+construction|a\s+placeholder|incomplete|(?:yet\s+)?to\s+be\s+written)
    | (?:(?:(?:this|the)\s+)?(?:(?:sub)?section|chapter|part|content|text|details?|diagram|figure|example|results?)\s+)?
        (?:is\s+|are\s+)?(?:still\s+to\s+be|to\s+be|will\s+be)\s+
        (?:written|added|completed|done|determined|continued|decided|filled\s+in|announced|provided)
        (?:\s+(?:later|soon|here))?
    | (?:本|这一|该)?(?:节|章|部分|小节|段)?(?:的)?(?:内容|正文|详情|细节|代码|图)?
        (?:敬请期待|未完待续|待续|施工中|建设中|尚未完成|待(?:补充|完善|续写|填写|写))
    | (?:具体|其余|其他)?(?:代码|实现|内容|细节)?(?:从略|略|省略)
    )[\W_]*"""
)


def placeholders(text: str, *, section: int) -> list[Finding]:
    """Comments and stubs in code and passages in prose that stand for something which is not there."""
    found: list[tuple[int, str, str, Severity]] = []
    every = blocks.blocks(text)
    passages = {line: one.text for one in every if one.kind == "paragraph" for line in (one.start, one.end - 1)}
    for block in blocks.fences(text):
        near = (*range(block.start - 2, block.start), *range(block.end, block.end + 2))
        beside = "\n".join(passages.get(line, "") for line in near)
        found += [
            (block.start + number + 2, what, row, severity)
            for number, what, row, severity in _in_code(block)
            if not _names(beside, row)
        ]
    for block in every:
        for number, row in enumerate(blocks.bare_rows(block.text) if block.kind == "html" else ()):
            if _IN_PROSE.search(row) or _is_comment(row):
                found.append((block.start + number + 1, "a line of HTML", row, "warning"))
    for paragraph in blocks.paragraphs(text):
        whole = len(paragraph.text) <= WHOLE_CHARACTERS and _WHOLE.fullmatch(paragraph.text)
        if whole or _IN_PROSE.search(paragraph.prose):
            found.append((paragraph.line + 1, "a passage", paragraph.text, "warning"))
    return [
        finding(
            "placeholder",
            section,
            line,
            f"{what} stands for something left out: {excerpt(row)}",
            severity=severity,
            mendable=severity != "note",
        )
        for line, what, row, severity in found
    ]


def _in_code(block: Block) -> list[tuple[int, str, str, Severity]]:
    """The placeholders of a block of code: line from 0, what it is, its words, severity."""
    rows = blocks.bare_rows(block.code)
    found: list[tuple[int, str, str, Severity]] = []
    for number, row in enumerate(rows):
        if _is_comment(row):
            found.append((number, "a comment", row, "warning"))
        elif _STUB.search(row[:COMMENT_CHARACTERS]):
            if not _ABSTRACT.search("\n".join(rows[max(0, number - ABSTRACT_ROWS) : number + 1])):
                found.append((number, "a stub", row, "warning"))
        elif _PROGRAM.fullmatch(block.language) and _ELLIPSIS.match(row) and ">>>" not in block.code:
            if not _is_body(rows, number):
                found.append((number, "an ellipsis", row, "note"))
            elif not _ABSTRACT.search("\n".join(rows[max(0, number - ABSTRACT_ROWS) : number])):
                found.append((number, "an ellipsis", row, "warning"))
    return found


def _is_body(rows: list[str], number: int) -> bool:
    """Whether an ellipsis is all that stands in a body: an excerpt that goes on elsewhere is a usual thing."""
    before = next((row for row in reversed(rows[:number]) if row.strip() and not _DOC.match(row)), "")
    after = next((row for row in rows[number + 1 :] if row.strip()), "")
    if before.rstrip().endswith(":"):
        return len(after) - len(after.lstrip()) < len(rows[number]) - len(rows[number].lstrip())
    opened = not before or before.rstrip().endswith("{")
    return opened and (not after or after.lstrip().startswith("}"))


def _is_comment(row: str) -> bool:
    comment = _COMMENT.search(row)
    return bool(comment and _IN_CODE.search(comment["said"][:COMMENT_CHARACTERS]))


_NAMED = re.compile(r"(?i)\b(?:todo|fixme|xxx|unimplemented|NotImplemented\w*|snip|omitted|elided)\b|\.{3}|省略")


def _names(beside: str, row: str) -> bool:
    """Whether a passage beside a block names the mark that the line has: then the block shows it on purpose."""
    mark = _NAMED.search(row)
    return mark is not None and mark[0] in beside
