"""Sites built before and after every page is filled: does a generator say anything that it did not say before?

Writes a small site for MkDocs, VitePress and Sphinx with pages of ``tests/site_pages.py``, builds it with dead links
and warnings as errors, fills every section of every page by a scripted author, accepts, and builds again. A generator
that is not installed is named and left out. Exits 1 if one says something new.

    uv run python -m benchmarks.site_builds [--python PYTHON] [--vitepress FOLDER]

PYTHON has mkdocs-material, Sphinx and MyST; FOLDER has vitepress in its ``node_modules``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from site_pages import MKDOCS, MYST, NUMBERED, VITEPRESS, SitePage

from benchmarks.pages import BOOK, SETTINGS
from expand.api import accept, expand_chapters
from expand.testing import ScriptedAuthor
from expand.workspace import Workspace

_PLAIN = "# Home\n\nSee [queues](page.md) and [one section](page.md#{anchor}).\n\n## More\n\nTODO\n\n## End\n\nText.\n"
_SECTIONS = (("More", ("Less",)), ("End", ()))


@dataclass(frozen=True)
class Built:
    """A site: its files beside the pages, its pages by path, and the command that builds it in its folder."""

    files: Mapping[str, str]
    pages: Mapping[str, SitePage]
    command: Sequence[str]


def home(anchor: str) -> SitePage:
    return SitePage("home", _PLAIN.replace("{anchor}", anchor), _SECTIONS)


def sites(python: str, vitepress: Path) -> dict[str, Built]:
    extensions = "admonition attr_list abbr footnotes md_in_html toc tables pymdownx.details pymdownx.superfences"
    mkdocs = {
        "site_name": "x",
        "theme": {"name": "material", "font": False},
        "markdown_extensions": [*extensions.split(), {"pymdownx.tabbed": {"alternate_style": True}}],
        "validation": {"anchors": "warn", "unrecognized_links": "warn", "links": {"not_found": "warn"}},
    }
    return {
        "MkDocs": Built(
            {
                "mkdocs.yml": json.dumps(mkdocs),
                "docs/overview.md": "# Overview\n\n## Start\n",
                "docs/other.md": "# Other\n",
            },
            {"docs/index.md": home("overflow"), "docs/page.md": MKDOCS, "docs/numbered.md": NUMBERED},
            (python, "-m", "mkdocs", "build", "--strict"),
        ),
        "VitePress": Built(
            {
                "docs/.vitepress/config.mjs": "export default { title: 'x' }\n",
                "docs/snippets/config.js": "const a = 1\nconst b = 2\n",
                "docs/Demo.vue": "<template><b>demo</b></template>\n",
                "package.json": '{"type": "module"}\n',
            },
            {"docs/index.md": home("config"), "docs/page.md": VITEPRESS, "docs/numbered.md": NUMBERED},
            (str(vitepress / "node_modules/.bin/vitepress"), "build", "docs"),
        ),
        "Sphinx": Built(
            {
                "docs/conf.py": 'project = "x"\nextensions = ["myst_parser"]\nmyst_heading_anchors = 4\n'
                'myst_enable_extensions = ["colon_fence", "dollarmath", "substitution"]\n'
                'myst_substitutions = {"substitution": "text"}\nexclude_patterns = ["shared.md"]\n',
                "shared.md": "Shared text.\n",
            },
            {
                "docs/index.md": SitePage(
                    "home", f"{_PLAIN.replace('{anchor}', 'files')}\n```{{toctree}}\npage\n```\n", _SECTIONS
                ),
                "docs/page.md": MYST,
            },
            (python, "-m", "sphinx", "-W", "--keep-going", "-q", "docs", "build"),
        ),
    }  # fmt: skip


def said(built: Built, folder: Path) -> tuple[int, list[str]]:
    """The exit code of a build, and its lines without times, figures and paths."""
    ran = subprocess.run(built.command, cwd=folder, capture_output=True, text=True, check=False)
    lines = f"{ran.stdout}\n{ran.stderr}".splitlines()
    return ran.returncode, sorted(
        {re.sub(r"[\d.]+ ?(?:ms|s|seconds)\b|\x1b\[[\d;]*m|[\d.]+ [kM]?B", "", line).strip() for line in lines}
    )


def fill(built: Built, folder: Path) -> None:
    """Expand every page and accept it."""
    ids = []
    for path, page in built.pages.items():
        ids.append(Path(path).stem)
        outline = {
            "id": ids[-1],
            "title": page.name,
            "source": path,
            "sections": [
                {"title": title, "lines": 14, **({"topics": list(topics)} if topics else {})}
                for title, topics in page.sections
            ],
        }
        (folder / "outlines" / f"{ids[-1]}.yaml").write_text(json.dumps(outline, ensure_ascii=False), encoding="utf-8")
    workspace = Workspace.open(folder)
    asyncio.run(expand_chapters(workspace, ids, author=ScriptedAuthor())).raise_for_status()
    accept(workspace, ids, force=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--vitepress", type=Path, default=Path())
    arguments = parser.parse_args()
    wrong = 0
    for name, built in sites(arguments.python, arguments.vitepress.resolve()).items():
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            texts = {path: page.text for path, page in built.pages.items()}
            own = {"expand.toml": SETTINGS, "outlines/book.yaml": BOOK}
            for path, content in {**built.files, **texts, **own}.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(content, encoding="utf-8")
            if (arguments.vitepress / "node_modules").is_dir():
                (folder / "node_modules").symlink_to((arguments.vitepress / "node_modules").resolve())
            try:
                before, lines = said(built, folder)
            except OSError as error:
                print(f"{name}: not built: {error}")
                continue
            if before != 0:
                print(f"{name}: the build fails as it is:", *lines[-12:], sep="\n    ")
                wrong += 1
                continue
            fill(built, folder)
            grown = sum(len((folder / path).read_text(encoding="utf-8")) - len(text) for path, text in texts.items())
            after, now = said(built, folder)
            new = [line for line in now if line not in lines]
            wrong += after != before or bool(new)
            print(f"{name}: {len(texts)} pages, {grown:,} characters more; exit {before}, then {after}; new: {new}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
