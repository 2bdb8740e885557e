"""Lines that a scripted author writes: none twice in a chapter, and always the same ones."""

import json
import random
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

SUBJECTS = ("The scheduler", "A worker", "The parent process", "The kernel", "This counter",
            "A profiler", "The event loop", "Each child", "The supervisor", "A benchmark",
            "The allocator", "A signal handler", "The pipe", "A page fault")  # fmt: skip
VERBS = ("records", "delays", "shares", "measures", "releases", "checks", "repeats", "limits",
         "reports", "collects", "replaces", "inspects", "reserves")  # fmt: skip
OBJECTS = ("the exit status", "one buffer", "its open files", "the run queue", "a time slice",
           "the memory map", "a sample of stacks", "the wait list", "a lock", "the cache line",
           "its environment")  # fmt: skip
ENDS = ("before the next request", "when the load rises", "on every core", "without a copy",
        "in the test suite", "under the given limit", "after a restart")  # fmt: skip
ZH_SUBJECTS = ("调度器", "工作进程", "父进程", "内核", "计数器", "剖析工具", "事件循环", "子进程",
               "监督者", "基准测试", "分配器")  # fmt: skip
ZH_VERBS = ("记录", "推迟", "共享", "测量", "释放", "检查", "限制", "报告", "收集")
ZH_OBJECTS = ("退出状态", "一个缓冲区", "打开的文件", "运行队列", "时间片", "内存映射", "调用栈样本")
ZH_ENDS = ("，以便下一个请求使用。", "，尤其在负载升高的时候。", "，每个核心都是如此。", "，而且不需要复制。")

HOWS = ("early", "late", "twice", "slowly", "quickly", "safely", "rarely", "often", "alone", "again", "silently",
        "evenly", "briefly", "fully", "partly", "openly", "neatly", "fairly", "hardly")  # fmt: skip
WHOS = ("the linker", "a debugger", "the timer", "one thread", "the socket", "a mutex", "the shell", "a reader",
        "the loader", "a writer", "the tracer", "one fiber", "the cgroup", "a mapper", "the pager", "a watcher",
        "the sampler")  # fmt: skip
DOES = ("agrees", "waits", "wakes", "yields", "returns", "blocks", "spins", "exits", "flushes", "forks", "listens",
        "drains", "resumes")  # fmt: skip
ZH_WHOS = (
    "链接器",
    "调试器",
    "定时器",
    "线程",
    "套接字",
    "互斥锁",
    "命令解释器",
    "读取方",
    "加载器",
    "写入方",
    "追踪器",
)
ZH_DOES = ("表示同意", "继续等待", "随即唤醒", "主动让出", "立即返回", "暂时阻塞", "反复自旋", "正常退出", "刷新缓存")

ROUND = 2_000
"""After so many sentences the words come round again, and the sentence says so."""
APART = 500
"""The sections of a chapter begin so many sentences apart."""

EXAMPLES = re.compile(r"Include (\d+) complete code example")
ASKED = re.compile(r"(\d+)\s*(lines|行)")
UNFINISHED = re.compile(r"<<<\n(.*?)\n>>>\s+It was cut off", re.DOTALL)
IN_CODE = "breaks off inside a code block"
GoesOn = Literal["anew", "verbatim", "aside"]
"""How an author goes on from a text that was cut: it begins the last line anew, goes on from its last character, or
writes something else.
"""
TOPIC = re.compile(r"(?:topic|主题)[^:：\n]*[:：] *(.+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class LineRequest:
    """What an author goes by: the last user message, and the section that it is for."""

    text: str
    chapter: str = ""
    section: int = 1

    @property
    def asked(self) -> tuple[int, str]:
        """The last number of lines in the message, and its language."""
        found = ASKED.findall(self.text)
        if not found:
            return 10, "en"
        count, unit = found[-1]
        return int(count), "zh" if unit == "行" else "en"

    @property
    def unfinished(self) -> str:
        """The line in which the text breaks off that the message wants finished, else ""."""
        found = UNFINISHED.search(self.text)
        return found[1].rpartition("\n")[2] if found else ""

    @property
    def examples(self) -> int:
        """The code examples that the message asks for."""
        found = EXAMPLES.findall(self.text)
        return int(found[-1]) if found else 0

    @property
    def headings(self) -> tuple[str, ...]:
        """The headings that the message has."""
        return tuple(re.findall(r"^#{2,4} (.+)$", self.text, flags=re.MULTILINE))

    @property
    def subjects(self) -> tuple[str, ...]:
        """The headings or the topics that the message names."""
        return self.headings or tuple(TOPIC.findall(self.text))


_PLANNED = re.compile(r"^- (?P<title>.+?): \d+ lines(?:\. Topics: (?P<topics>.+))?$", re.MULTILINE)


def brief_of(question: LineRequest) -> list[str]:
    """The lines of a brief, where the message asks for one: an entry with an opening for each section that it lists."""
    if question.section or "Answer with one YAML mapping" not in question.text:
        return []
    titles = [found["title"] for found in _PLANNED.finditer(question.text)]
    entries = [{"title": title, "opening": f"This part is about {title}."} for title in titles]
    return [json.dumps({"sections": entries}, ensure_ascii=False)]


@dataclass(slots=True)
class TextGenerator:
    """Writes on where it stopped in each section, whatever comes in between."""

    written: Counter[tuple[str, int]] = field(default_factory=Counter)

    def lines(self, question: LineRequest, count: int, language: str, *, goes_on: GoesOn = "anew") -> list[str]:
        """``count`` lines that were never written before in the chapter, naming the subjects; before them the rest of
        what was cut."""
        heads, named = question.headings, question.subjects
        lines: list[str] = []
        if question.unfinished and goes_on != "aside":
            end = ["", "}", "```", ""] if IN_CODE in question.text else ["。" if language == "zh" else " and ends.", ""]
            lines = [(question.unfinished if goes_on == "anew" else "") + end[0], *end[1:]]
            count -= 1
        parts = max(1, len(heads))
        for part in range(parts):
            size = count // parts + (part < count % parts)
            block = [f"### {heads[part]}", ""] if len(heads) > 1 and size > 4 else []
            if part < len(named):
                block.append(f"{named[part]}是这里的主题。" if language == "zh" else f"About {named[part]}.")
            wanted = question.examples // parts + (part < question.examples % parts)
            for _ in range(max(wanted, 1)):
                if size - len(block) >= 12:
                    block += ["", *self._code(question), ""]
            while len(block) < size:
                block.append(self._sentence(question, language))
            lines += block[:size] if size else []
        return lines

    def _next(self, question: LineRequest) -> int:
        place = (question.chapter, question.section)
        number = self.written[place]
        self.written[place] += 1
        return APART * max(0, question.section - 1) + number

    def _code(self, question: LineRequest) -> list[str]:
        number = self._next(question)
        head, scaled = f"fn step_{number}(input: u64) -> u64 {{", f"    let scaled = input * {number + 2};"
        return ["```rust", head, scaled, "    scaled + 1", "}", "```"]

    def _sentence(self, question: LineRequest, language: str) -> str:
        number = self._next(question)
        columns = (ZH_SUBJECTS, ZH_VERBS, ZH_OBJECTS, ZH_ENDS) if language == "zh" else (SUBJECTS, VERBS, OBJECTS, ENDS)
        words = [column[number % len(column)] for column in columns]
        turn = number // ROUND
        # By chance, but the same in every run: sentences that differ in one place only would repeat each other.
        chance = random.Random(f"{question.chapter}/{number}")
        if language == "zh":
            said = "".join(words).removesuffix("。") + f"，{chance.choice(ZH_WHOS)}{chance.choice(ZH_DOES)}。"
            return said if not turn else f"第{turn}轮里，{said}"
        said = " ".join(words) + f", and {chance.choice(WHOS)} {chance.choice(HOWS)} {chance.choice(DOES)}"
        return said + (f" in round {turn}." if turn else ".")
