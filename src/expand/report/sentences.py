"""What reports say in whole sentences: in English, and in Chinese. Braces hold the figures."""

from __future__ import annotations

SENTENCES: dict[str, tuple[str, str]] = {
    "say.basis.model and language": (
        "A line takes {middle} tokens ({low} to {high}), learnt from {sections} sections by {model}"
        " in language {written}.",
        "每行约 {middle} 个 Token（{low}–{high}），依据账本中 {model} 以 {written} 完成的 "
        "{sections} 个小节。",
    ),
    "say.basis.model": (
        "A line takes {middle} tokens ({low} to {high}), learnt from {sections} sections by {model}"
        " in any language.",
        "每行约 {middle} 个 Token（{low}–{high}），依据账本中 {model} 完成的 {sections} 个小节"
        "（不限语言）。",
    ),
    "say.basis.ledger": (
        "A line takes {middle} tokens ({low} to {high}), learnt from {sections} sections by other"
        " models.",
        "每行约 {middle} 个 Token（{low}–{high}），依据账本中其他模型完成的 {sections} 个小节。",
    ),
    "say.basis.opening": (
        "A line takes {middle} tokens ({low} to {high}), from the opening balance and the lines it"
        " brought; the range is half of it either way, since nothing was bought yet to tell it.",
        "每行约 {middle} 个 Token（{low}–{high}），依据期初已用量及其产出的行数；尚无账本数据，"
        "范围按上下各一半计。",
    ),
    "say.basis.default": (
        "A line takes {middle} tokens ({low} to {high}), a stated default: nothing was bought yet"
        " to learn from.",
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
        "{attempts} 次请求结果未知，按预留量计 {tokens} 个 Token；可用 `expand ledger reconcile` "
        "核对。",
    ),
    "say.unpriced": (
        "No price is known for: {models}. The cost is therefore unknown; the rest comes to {cost}"
        " USD.",
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
        "{plan}: it takes {tokens} tokens, at most {high}, of {remaining} remaining, and brings the"
        " book to {rate}.",
        "{plan}：预计 {tokens} 个 Token，至多 {high}，剩余 {remaining}；完成后全书达到 {rate}。",
    ),
    "say.recommend.lean": (
        "{plan}: the full plan may take {full} tokens, more than the {remaining} remaining; this"
        " one takes at most {high} and brings the book to {rate}.",
        "{plan}：完整方案可能需要 {full} 个 Token，超过剩余的 {remaining}；本方案至多 {high}，"
        "完成后全书达到 {rate}。",
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
