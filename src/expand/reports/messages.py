"""What columns, figures and values of reports are called: in English, and in Chinese."""

from __future__ import annotations

from expand.errors import InputError

LABELS: dict[str, tuple[str, str]] = {
    # words
    "unknown": ("unknown", "未知"),
    "unlimited": ("unlimited", "不限"),
    "unpriced": ("no price known", "价格未知"),
    "dash": ("–", "–"),
    "never": ("not in sight", "看不到尽头"),
    "total": ("Total", "合计"),
    "contents": ("Contents", "目录"),
    "value": ("Figure", "数值"),
    "made": ("As of {made} UTC", "截至 {made} UTC"),
    "yes": ("yes", "是"),
    "no": ("no", "否"),
    "perhaps": ("perhaps", "也许"),
    "high": ("high", "高"),
    "medium": ("medium", "中"),
    "low": ("low", "低"),
    "document": ("document", "文档"),
    "record": ("book.yaml", "book.yaml"),
    "plan.full": ("full", "完整 full"),
    "plan.lean": ("lean", "精简 lean"),
    "plan.none": ("none", "暂停 none"),
    "plan.fits": ("what fits", "预算内最佳组合"),
    "draft": ("draft", "起草"),
    "continue": ("continue", "续写"),
    "repair": ("repair", "修补"),
    "revise": ("revise", "修订"),
    "reserved": ("reserved", "已预留"),
    "sent": ("in flight", "进行中"),
    "settled": ("settled", "已结算"),
    "released": ("released", "已释放"),
    "reconciled": ("reconciled", "已核对"),
    "kept": ("keeps its contract", "符合要求"),
    "short": ("misses its contract", "未达要求"),
    "blocked": ("cannot be accepted", "不能验收"),
    "undrafted": ("no draft", "无草稿"),
    "finished": ("finished", "已完成"),
    "pending": ("pending", "待扩展"),
    "asked": ("asked", "要求"),
    "delivered": ("delivered", "交付"),
    "now": ("now", "当前"),
    "target_short": ("target", "目标"),
    # titles of reports and blocks
    "title.budget": ("Budget: {book}", "预算报告：{book}"),
    "title.plan": ("Plans: {book}", "方案对比：{book}"),
    "title.status": ("Status: {book}", "状态报告：{book}"),
    "title.completion": ("Completion report: {book}", "完成报告：{book}"),
    "budget": ("Tokens", "Token 预算"),
    "by_chapter": ("By chapter", "按章节"),
    "by_section": ("By section", "按小节"),
    "by_model": ("By model", "按模型"),
    "by_purpose": ("By purpose", "按用途"),
    "by_day": ("By day (UTC)", "按日期（UTC）"),
    "open": ("Tokens tied up without an answer", "尚无结果而被占用的 Token"),
    "errors": ("Prompt estimates against what was billed", "提示词估算与实际计费"),
    "opening_short": ("opening", "期初"),
    "start": ("start", "起点"),
    "language": ("Language", "语言"),
    "attempts_latest": ("The latest attempts", "最近的请求"),
    "burn_down": ("Burn-down", "消耗预测"),
    "finished_chapters": ("Finished chapters", "已完成文档"),
    "pending_chapters": ("Chapters to write", "待扩展文档"),
    "totals_overall": ("Overall", "整体统计"),
    "resources": ("Resources", "资源使用情况"),
    "sections": ("Sections of the chapters to write", "待扩展文档大纲"),
    "drafts": ("Drafts and their contracts", "草稿与验收要求"),
    "plans": ("Plans", "行动方案"),
    "plan_chapters": ("Plans by chapter", "各方案逐章明细"),
    "plan_tiers": ("Completion after each plan", "各方案完成后的完成度"),
    "what_fits": ("What fits the remaining budget", "剩余预算内的最佳组合"),
    "recommendation": ("Recommended", "推荐方案"),
    "forecast": ("Forecast by tier", "整体预测（按层）"),
    "todo": ("To do", "待办事项"),
    "notes": ("Notes", "说明"),
    "picture.burn": ("Tokens remaining", "剩余 Token"),
    "picture.tiers": ("Lines by tier", "各层行数"),
    "picture.chapters": ("Lines by chapter", "各章行数"),
    "picture.sections": ("Sections: delivered of asked", "各小节：交付与要求"),
    "picture.purposes": ("Tokens by purpose", "按用途的 Token"),
    # columns and facts
    "limit": ("Limit", "总额"),
    "used": ("Used", "已用"),
    "opening": ("Opening balance (in used)", "期初已用（含于已用）"),
    "label.unknown": ("Unknown outcome (in used)", "结果未知（含于已用）"),
    "label.reserved": ("Reserved", "已预留"),
    "label.opening_cost": ("Opening balance (USD, in cost)", "期初费用（美元，含于费用）"),
    "remaining": ("Remaining", "剩余"),
    "estimated_remaining": ("Estimated for the rest", "预计还需"),
    "estimated_low": ("Estimate, at least", "预计下限"),
    "estimated_high": ("Estimate, at most", "预计上限"),
    "projected_total": ("Projected total", "预计总量"),
    "currency": ("Currency", "货币"),
    "cost": ("Cost (USD)", "费用（美元）"),
    "used_percent": ("Used of the limit", "已用占总额"),
    "tokens_per_line": ("Tokens a line", "每行 Token"),
    "id": ("Chapter", "章节"),
    "chapter": ("Chapter", "章节"),
    "section": ("Section", "小节"),
    "title": ("Title", "标题"),
    "model": ("Model", "模型"),
    "purpose": ("Purpose", "用途"),
    "day": ("Day", "日期"),
    "attempts": ("Attempts", "请求数"),
    "prompt": ("Prompt", "提示词"),
    "cached": ("of it cached", "其中缓存"),
    "completion": ("Completion", "回答"),
    "reasoning": ("of it reasoning", "其中推理"),
    "tokens": ("Tokens", "Token"),
    "share": ("Share", "占比"),
    "state": ("State", "状态"),
    "estimated": ("Estimated", "估算"),
    "billed": ("Billed", "实际"),
    "error": ("Error", "误差"),
    "mean": ("Mean error", "平均误差"),
    "deviation": ("Standard deviation", "标准差"),
    "least": ("Least", "最小"),
    "greatest": ("Greatest", "最大"),
    "output_cap": ("Output cap", "输出上限"),
    "reserved_tokens": ("Reserved", "预留"),
    "tokens_a_day": ("Tokens a day", "每日 Token"),
    "ends_on": ("Allowance ends on", "额度用尽日期"),
    "ends_at": ("Allowance ends at", "额度用尽于"),
    "lasts": ("nothing: it lasts for all of them", "足够完成全部章节"),
    "before": ("Lines before", "原始行数"),
    "lines": ("Lines now", "当前行数"),
    "added": ("Lines added", "新增行数"),
    "target": ("Target", "目标行数"),
    "to_add": ("To add", "需增加"),
    "rate": ("Rate", "完成率"),
    "source": ("Counted from", "行数来源"),
    "priority": ("Priority", "优先级"),
    "hours": ("Hours", "用时"),
    "asked_lines": ("Lines asked", "要求行数"),
    "draft_lines": ("Lines in draft", "草稿行数"),
    "length_score": ("Length score", "长度得分"),
    "blocking": ("Blocking", "阻断"),
    "warnings": ("Warnings", "警告"),
    "contract": ("Contract", "验收"),
    "plan": ("Plan", "方案"),
    "tokens_low": ("Tokens, at least", "Token 下限"),
    "tokens_high": ("Tokens, at most", "Token 上限"),
    "lines_after": ("Lines after", "完成后行数"),
    "tier_rate": ("Tier(s)", "所在层完成率"),
    "book_lines": ("Book lines", "全书行数"),
    "book_rate": ("Book", "全书完成率"),
    "left": ("Tokens left", "剩余 Token"),
    "tier": ("Tier", "层级"),
    "after": ("After", "完成后行数"),
    "rate_now": ("Rate now", "当前完成率"),
    "rate_after": ("Rate after", "完成后完成率"),
    "measure": ("Measure", "指标"),
    "done": ("Done", "已完成"),
    "to_do": ("To do", "待完成"),
    "measure.chapters": ("Chapters", "文档数"),
    "measure.lines": ("Lines", "行数"),
    "measure.tokens": ("Tokens", "Token"),
    "measure.hours": ("Hours", "用时"),
    "plans.fits": ("Fits", "预算内"),
    "hours_used": ("Hours used", "已用时间"),
}


# What reports say in whole sentences: in English, and in Chinese. Braces hold the figures.

SENTENCES: dict[str, tuple[str, str]] = {
    "say.basis.model and language": (
        "A line takes {middle} tokens ({low} to {high}), learnt from {sections} sections by {model}"
        " in language {written}.",
        "每行约 {middle} 个 Token（{low}–{high}），依据账本中 {model} 以 {written} 完成的 {sections} 个小节。",
    ),
    "say.basis.model": (
        "A line takes {middle} tokens ({low} to {high}), learnt from {sections} sections by {model} in any language.",
        "每行约 {middle} 个 Token（{low}–{high}），依据账本中 {model} 完成的 {sections} 个小节（不限语言）。",
    ),
    "say.basis.ledger": (
        "A line takes {middle} tokens ({low} to {high}), learnt from {sections} sections by other models.",
        "每行约 {middle} 个 Token（{low}–{high}），依据账本中其他模型完成的 {sections} 个小节。",
    ),
    "say.basis.opening": (
        "A line takes {middle} tokens ({low} to {high}), from the opening balance and the lines it"
        " brought; the range is half of it either way, since nothing was bought yet to tell it.",
        "每行约 {middle} 个 Token（{low}–{high}），依据期初已用量及其产出的行数；尚无账本数据，范围按上下各一半计。",
    ),
    "say.basis.default": (
        "A line takes {middle} tokens ({low} to {high}), a stated default: nothing was bought yet to learn from.",
        "每行约 {middle} 个 Token（{low}–{high}），为预设默认值：尚无数据可依据。",
    ),
    "say.opening": (
        "The opening balance of {tokens} tokens went to {ids} before this ledger was kept; the"
        " tables below are what the ledger knows, without it.",
        "期初已用 {tokens} 个 Token，用于 {ids}，早于本账本；下列各表只含账本中的用量。",
    ),
    "say.model": (
        "Tokens, costs and hours are estimated for {model} in language {written}.",
        "Token、费用与用时按 {model}、语言 {written} 估算。",
    ),
    "say.over": (
        "A provider billed more than was reserved: the budget is {tokens} tokens over.",
        "服务商计费超出预留：预算已超支 {tokens} 个 Token。",
    ),
    "say.unknown": (
        "Unknown outcomes: {attempts}, charged at their reservations, {tokens} tokens;"
        " `expand ledger reconcile` settles them.",
        "{attempts} 次请求结果未知，按预留量计 {tokens} 个 Token；可用 `expand ledger reconcile` 核对。",
    ),
    "say.unpriced": (
        "No price is known for: {models}. The cost is therefore unknown; the rest comes to {cost} USD.",
        "以下模型没有已知价格：{models}。因此总费用未知；其余合计 {cost} 美元。",
    ),
    "say.outline_differs": (
        "The sections of chapter {id} add up to {outlined} lines, not the {stated} stated; the"
        " figures here go by what is stated.",
        "第 {id} 章各小节合计 {outlined} 行，而非所述的 {stated} 行；本报告按所述行数计算。",
    ),
    "say.source.document": (
        "Lines are counted in the document for: {ids}.",
        "以下章节的行数由文档统计：{ids}。",
    ),
    "say.source.record": (
        "There is no document here for: {ids}; their lines are those that book.yaml records.",
        "以下章节此处没有文档：{ids}；其行数取自 book.yaml 的记录。",
    ),
    "say.record_differs": (
        "book.yaml records {recorded} lines for chapter {id}; its document has {counted}.",
        "book.yaml 记录第 {id} 章为 {recorded} 行；文档实际为 {counted} 行。",
    ),
    "say.day_rate": (
        "The rate is what was used from {first} to {last}, a day.",
        "速率按 {first} 至 {last} 的日均用量计。",
    ),
    "say.recommend.full": (
        "{plan}: it takes {tokens} tokens, at most {high}, of {remaining} remaining, and brings the book to {rate}.",
        "{plan}：预计 {tokens} 个 Token，至多 {high}，剩余 {remaining}；完成后全书达到 {rate}。",
    ),
    "say.recommend.lean": (
        "{plan}: the full plan may take {full} tokens, more than the {remaining} remaining; this"
        " one takes at most {high} and brings the book to {rate}.",
        "{plan}：完整方案可能需要 {full} 个 Token，超过剩余的 {remaining}；本方案至多 {high}，完成后全书达到 {rate}。",
    ),
    "say.recommend.fits": (
        "{plan}: the full plan may take {full} tokens, more than the {remaining} remaining; the"
        " chapters under “What fits” take at most {high} and bring the book to {rate}.",
        "{plan}：完整方案可能需要 {full} 个 Token，超过剩余的 {remaining}；所列组合至多 {high}，"
        "完成后全书达到 {rate}。",
    ),
    "say.recommend.none": (
        "{plan}: there is nothing left to write.",
        "{plan}：没有需要扩展的内容。",
    ),
    "say.recommend.broke": (
        "{plan}: no chapter fits the {remaining} tokens remaining; raise the allowance.",
        "{plan}：剩余的 {remaining} 个 Token 不足以完成任何一章；请提高额度。",
    ),
    "say.todo.write": (
        "Write {id} {title} ({lines} lines): expand chapter {id}",
        "完成 {id} {title}（{lines} 行）：expand chapter {id}",
    ),
    "say.todo.review": (
        "Review {id} {title}, a draft of {lines} lines: expand review {id}",
        "审阅 {id} {title} 的草稿（{lines} 行）：expand review {id}",
    ),
    "say.todo.accept": (
        "Accept {id} {title}, a draft of {lines} lines: expand accept {id}",
        "验收 {id} {title} 的草稿（{lines} 行）：expand accept {id}",
    ),
    "say.todo.outline": (
        "Write an outline for {id} {title}: outlines/{id}.yaml",
        "为 {id} {title} 编写大纲：outlines/{id}.yaml",
    ),
    "say.todo.reconcile": (
        "Settle the unknown outcomes ({attempts}): expand ledger reconcile",
        "核对 {attempts} 次结果未知的请求：expand ledger reconcile",
    ),
    "say.todo.lines": (
        "Bring the lines that book.yaml records for {id} up to date: {counted}",
        "更新 book.yaml 中 {id} 的行数记录：{counted}",
    ),
    "say.nothing_todo": ("Nothing.", "无。"),
    "say.picture": ("{title}: {figures}.", "{title}：{figures}。"),
}


# What people read in reports, in English and Chinese.

LANGUAGES = ("en", "zh")

_WORDS = LABELS | SENTENCES  # no key is in both


def say(language: str, key: str, *, otherwise: str = "", **values: object) -> str:
    """The wording of ``key``; ``otherwise``, or the word itself, where there is none."""
    found = _WORDS.get(key)
    if found is None:
        return otherwise or key
    text = found[LANGUAGES.index(language)]
    return text.format(**values) if values else text


def spoken_for(book_language: str, given: str | None) -> str:
    """A report's language: as given, else the book's if there are words in it, else English.

    Raises ``InputError``.
    """
    if given is None:
        return book_language if book_language in LANGUAGES else "en"
    if given not in LANGUAGES:
        raise InputError(f"reports have no language {given!r}", remedy=f"give one of: {', '.join(LANGUAGES)}")
    return given


def label(language: str, block: str, name: str) -> str:
    """What a column or fact of a block is called."""
    for key in (f"{block}.{name}", f"label.{name}"):
        if key in _WORDS:
            return say(language, key)
    return say(language, name)


def joined(language: str, words: list[str]) -> str:
    """A list of words."""
    return ("、" if language == "zh" else ", ").join(words)
