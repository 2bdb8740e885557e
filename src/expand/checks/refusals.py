"""Findings about text that is no text of a book: refusals, apologies, error messages."""

from __future__ import annotations

import re
from collections.abc import Iterator

from expand.checks.finding import Finding, excerpt
from expand.markdown import blocks, matching

_UNABLE = r"(?:can(?:no|['’])t|am\s+(?:not\s+able|unable)|won['’]t|could\s?n['’]t|must\s+decline)"
_REFUSAL = re.compile(
    rf"""(?xi)^[\s"'“*_>]*(?:
      (?:i['’]?m|i\s+am|we['’]?re)?\s*(?:really\s+|so\s+|very\s+)?sorry\b[,.]?\s*(?:but\s+)?
        (?:as\s+an\s+ai\b|i\s+{_UNABLE}).*
    | i\s*(?:apologi[sz]e|['’]m\s+sorry|\s+am\s+sorry)\b.{{0,80}}
        \b(?:but|confusion|cannot|can['’]t|unable)\b.*
    | (?:(?:as|since|because)\s+)?(?:i['’]?m\s+|i\s+am\s+)?(?:just\s+)?an?\s+
        (?:ai|artificial\s+intelligence|large\s+language)
        (?:\s+(?:language\s+)?(?:model|assistant))\s*,\s*(?:i\b|so\b|and\b|my\b).*
    | as\s+an\s+ai\s*,\s*i\b.*
    | (?:unfortunately[,\s]+)?i\s*{_UNABLE}\s+(?:to\s+|be\s+able\s+to\s+)?
        (?:help|assist|fulfil+|comply|provide|generate|write|create|continue|complete|answer
        |do\s+that|engage)\b.*
    | (?:非常|很|十分)?(?:抱歉|对不起|不好意思)[，,、]?.{{0,16}}
        (?:无法|不能|没办法|没有能力|不便).*
    | 作为(?:一(?:个|名|款))?\s*(?:AI|人工智能|大?语言模型|大模型).{{0,10}}[，,].*我.*
    | 我(?:无法|不能)(?:提供|完成|满足|回答|协助|继续|生成|写).{{0,40}}
    )""",
    re.DOTALL,
)
_ERROR = re.compile(
    r"""(?xi)^[\s*_`>\[(]*(?:
      max(?:imum)?\s+(?:tries|retries|attempts)\b.{0,40}
    | .{0,30}\b(?:content|section|scene|text|chapter)(?:\s+\d+)?(?:\s+content)?\s+(?:is\s+)?
        (?:un|not\s+)(?:available|avail).{0,20}
    | (?:api\s+|http\s+|server\s+)?error(?:\s+code)?\s*[:：]?\s*\d{3}\b.{0,120}
    | (?:error\s*[:：]\s*)?(?:rate\s+limit|quota)\s+(?:exceeded|reached).{0,80}
    | (?:error\s*[:：]\s*)?you\s+exceeded\s+your\s+current\s+quota.{0,120}
    | (?:\d{3}\s+)?(?:internal\s+server\s+error|bad\s+gateway|service\s+unavailable
        |gateway\s+time-?out|too\s+many\s+requests)\W*
    | (?:request|connection|read)\s+timed\s+out.{0,40}
    | (?:failed\s+to\s+(?:generate|get|fetch)|unable\s+to\s+generate|could\s+not\s+generate)\b
        .{0,20}\b(?:content|response|text|section|chapter|completion)\b.{0,40}
    | (?:generation|request|completion)\s+failed\W{0,3}.{0,40}
    | \{\s*"error"\s*:.*
    | traceback\s+\(most\s+recent\s+call\s+last\).*
    | (?:null|undefined|nan|\[?object\s+object\]?)\W*
    | (?:请求|生成|调用)(?:失败|超时|出错)\W?.{0,20}
    | (?:内容|章节)(?:不可用|生成失败|获取失败)\W*
    | 服务器(?:内部)?错误\W*
    )$""",
    re.DOTALL,
)
_SHORT = 200


def findings(text: str, *, section: int) -> Iterator[Finding]:
    """Passages by which a model refuses or a program reports; code and quotes of code are none."""
    for passage in blocks.passages(text):
        said = matching.prose(passage.text).strip()
        plain = passage.text.strip()
        if _REFUSAL.match(said):
            yield Finding(
                kind="refusal",
                section=section,
                line=passage.line + 1,
                severity="blocking",
                message=f"a model refuses or apologises instead of writing: {excerpt(plain)}",
                remedy="have the section written again, or take the passage out",
                mendable=True,
            )
        elif len(said) <= _SHORT and said == plain and _ERROR.match(said):
            yield Finding(
                kind="error-text",
                section=section,
                line=passage.line + 1,
                severity="blocking",
                message=f"an error message stands where text should be: {excerpt(plain)}",
                remedy="have the section written again, or take the passage out",
                mendable=True,
            )
