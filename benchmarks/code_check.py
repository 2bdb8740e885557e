"""Judge the code blocks of documents by their toolchains: what is refused, and how long it takes, cold and from the
cache. Without documents, of one with COUNT (40) Rust blocks that need the standard library alone.

    uv run python -m benchmarks.code_check [FILE.md | FOLDER]…

Of a book whose blocks are compiled by its own tests, everything refused is a false alarm. Measured on 2 cores, rustc
1.95: Rust by Example, 326 blocks, 248 judged, 1 refused (a fragment marked `Rust`, which rustdoc does not know); The
Rust Programming Language, 497 blocks, 303 judged, none refused. 40 blocks of the standard library: 4 s of CPU cold.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from expand.code_check.chapter_code import CodeCheck

BLOCK = """```rust
use std::collections::HashMap;
use std::io::{{self, Read}};

struct Counter{number} {{ seen: HashMap<String, usize> }}

impl Counter{number} {{
    fn add(&mut self, word: &str) {{ *self.seen.entry(word.to_string()).or_default() += {number}; }}
}}

fn main() -> io::Result<()> {{
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    let mut counter = Counter{number} {{ seen: HashMap::new() }};
    text.split_whitespace().for_each(|word| counter.add(word));
    let mut all: Vec<_> = counter.seen.iter().collect();
    all.sort_by(|a, b| b.1.cmp(a.1));
    Ok(())
}}
```
"""


def main() -> None:
    named = [Path(name) for name in sys.argv[1:]]
    files = [file for path in named for file in (sorted(path.rglob("*.md")) if path.is_dir() else [path])]
    with tempfile.TemporaryDirectory() as folder:
        if not files:
            made = Path(folder, "made.md")
            made.write_text("\n".join(BLOCK.format(number=n) for n in range(int(os.environ.get("COUNT", "40")))))
            files = [made]
        for run in ("cold", "cached"):
            began, sums = time.monotonic(), [0, 0, 0, 0]
            for file in files:

                def include(path: str, file: Path = file) -> str | None:
                    target = file.parent / path
                    return target.read_text(encoding="utf-8") if target.is_file() else None

                check = CodeCheck(kept=Path(folder, "verdicts.json"), include=include)
                verdicts = check.judge({1: file.read_text(encoding="utf-8")})
                sums = [a + b for a, b in zip(sums, verdicts.counts(1), strict=True)]
                refused = [one.finding for one in verdicts.judged if one.failed]
                for one in refused if run == "cold" else ():
                    print(f"{file}:{one.line}: {one.message}")
            usage = resource.getrusage(resource.RUSAGE_CHILDREN)
            print(
                "{}: {} blocks, {} judged, {} refused, {} unchecked".format(run, *sums),
                f"in {time.monotonic() - began:.2f} s, {usage.ru_utime + usage.ru_stime:.1f} s of CPU in compilers",
            )


if __name__ == "__main__":
    main()
