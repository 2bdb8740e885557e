"""Site generators: which one builds a folder, the order of its documents, and where links lead."""

from __future__ import annotations

from pathlib import Path

import pytest

from expand.document.site import files_of_link, site_of
from expand.markdown.languages import detected
from expand.scaffold import find_tree

TREES: dict[str, tuple[dict[str, str], str, list[str]]] = {
    "VitePress": (
        {
            ".vitepress/config.mts": "// title: 'No'\nexport default { title: 'Pipes', lang: 'en', srcDir: './src' }",
            "src/index.md": "---\nlayout: home\n---\n",
            "src/guide/pipes.md": "# P\n",
            "src/guide/signals.md": "# S\n",
            "src/zh/guide/pipes.md": "# 管\n",
            "src/zh/guide/signals.md": "# 信\n",
        },
        "Pipes",
        ["src/index.md", "src/guide/pipes.md", "src/guide/signals.md"],
    ),
    "Docusaurus": (
        {
            "website/docusaurus.config.js": "module.exports = { title: \"Pipes\", presets: [['classic', "
            "{ docs: { path: '../docs', sidebarPath: require.resolve('./sidebars.js') } }]] }",
            "docs/signals.mdx": "# S\n",
            "docs/guide/02-pipes.md": "# P\n",
            "docs/late/a.md": "# A\n",
            "docs/late/b.md": "# B\n",
            "docs/zero.md": "# Z\n",
        },
        "Pipes",
        ["docs/guide/02-pipes.md", "docs/late/a.md", "docs/late/b.md", "docs/signals.mdx", "docs/zero.md"],
    ),
    "docsify": (
        {
            "docs/index.html": "<html lang=en><title>Pipes</title><script>window.$docsify = {}</script>",
            "docs/_sidebar.md": "- Guide\n  - [Signals](/guide/signals)\n  - [Pipes](guide/pipes.md)\n- [Out](https://x.org)\n",
            "docs/README.md": "# Home\n",
            "docs/guide/pipes.md": "# P\n",
            "docs/guide/signals.md": "# S\n",
        },
        "Pipes",
        ["docs/guide/signals.md", "docs/guide/pipes.md", "docs/README.md"],
    ),
    "Sphinx": (
        {
            "docs/conf.py": 'project = "Pipes"\nextensions = ["myst_parser"]\nlanguage = "en"\n',
            "docs/index.md": "# Pipes\n",
            "docs/signals.md": "# S\n",
            "docs/guide/pipes.md": "# P\n",
            "docs/guide/zz.md": "# Z\n",
            "docs/_build/x.md": "",
        },
        "Pipes",
        ["docs/index.md", "docs/guide/pipes.md", "docs/guide/zz.md", "docs/signals.md"],
    ),
    "mdBook": (
        {
            "guide/book.toml": '[book]\ntitle = "Pipes"\n',
            "guide/src/SUMMARY.md": "# Summary\n\n- [Signals](signals.md)\n- [Pipes](guide/pipes.md)\n",
            "guide/src/signals.md": "# S\n",
            "guide/src/guide/pipes.md": "# P\n",
            "guide/src/snippet.md": "not in the book",
        },
        "Pipes",
        ["guide/src/signals.md", "guide/src/guide/pipes.md"],
    ),
    "MkDocs": (
        {
            "mkdocs.yml": "site_name: !ENV [NAME, x]\ndocs_dir: text\nnav:\n  - Guide:\n    - S: signals.md\n"
            "    - Deep:\n      - P: guide/pipes.md\nplugins:\n  - x: !!python/name:a.b\n",
            "text/signals.md": "# S\n",
            "text/guide/pipes.md": "# P\n",
            "text/other.md": "# O\n",
        },
        "",
        ["text/signals.md", "text/guide/pipes.md", "text/other.md"],
    ),
}


def plant(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize("generator", TREES)
def test_the_documents_of_each_generator_in_its_order(tmp_path: Path, generator: str) -> None:
    files, title, wanted = TREES[generator]
    tree = find_tree(plant(tmp_path, files))
    assert tree.kind == generator
    assert tree.title == title or not title
    assert [c.source for c in tree.chapters] == wanted
    assert len({c.id for c in tree.chapters}) == len(wanted)


def test_translations_are_no_chapters_unless_their_language_is_asked_for(tmp_path: Path) -> None:
    files = {
        "docs/a.md": "",
        "docs/b.md": "",
        "docs/a.fr.md": "",
        "docs/zh/a.md": "",
        "docs/zh/b.md": "",
        "docs/go/a.md": "",
    }
    root = plant(tmp_path, files)
    tree = find_tree(root)
    assert [c.source for c in tree.chapters] == ["docs/a.md", "docs/b.md", "docs/go/a.md"]
    assert tree.translations == {"zh": 2, "fr": 1}
    assert "docs/zh/a.md" in [c.source for c in find_tree(root, language="zh").chapters]


def test_of_several_sites_the_largest_is_taken_and_the_others_are_named(tmp_path: Path) -> None:
    tree = find_tree(
        plant(
            tmp_path, {"a/mkdocs.yml": "", "a/docs/x.md": "", "b/mkdocs.yml": "", "b/docs/x.md": "", "b/docs/y.md": ""}
        )
    )
    assert (tree.documents, tree.others) == ("b/docs", ("a",))


def test_a_folder_with_the_name_of_a_language_is_a_translation_where_it_has_the_same_files(tmp_path: Path) -> None:
    names = ("docs/a.md", "docs/b.md", "docs/it/net.md", "docs/de/a.md", "docs/de/x.md", "docs/de/y.md", "docs/de/z.md")
    tree = find_tree(plant(tmp_path, dict.fromkeys(names, "# T\n\nText.\n")))
    assert tree.translations == {"de": 4}  # a quarter of its files
    assert [one.source for one in tree.chapters] == ["docs/a.md", "docs/b.md", "docs/it/net.md"]


def test_rest_is_counted_and_no_chapter(tmp_path: Path) -> None:
    tree = find_tree(plant(tmp_path, {"conf.py": "extensions = []\n", "index.rst": "", "a/b.rst": ""}))
    assert (tree.kind, tree.chapters, tree.unsupported) == ("Sphinx", (), 2)


THERE = {
    "VitePress": "./signals signals.html#x /guide/pipes /logo.png ../",
    "Docusaurus": "../signals.mdx ../late/a ../../late/b/",
    "docsify": "/guide/pipes guide/pipes?id=x pipes.md",
    "Sphinx": "zz.md ../signals.html /signals.md",
    "mdBook": "pipes.html ../signals.md",
    "MkDocs": "../signals.md ../../signals/",
}
GONE = {
    "VitePress": "gone /gone",
    "Docusaurus": "gone.md ../gone",
    "docsify": "gone",
    "Sphinx": "project:gone.md gone.html",
    "mdBook": "gone.html pipes",
    "MkDocs": "../gone.md ../gone/",
}
OPEN = {"Docusaurus": "/anything @site/x", "Sphinx": "a-label", "MkDocs": "#x mailto:x@y /x"}


@pytest.mark.parametrize("generator", THERE)
def test_links_by_the_rules_of_each_generator(tmp_path: Path, generator: str) -> None:
    root = plant(tmp_path, {**TREES[generator][0], "src/public/logo.png": ""})
    page = next(root / source for source in TREES[generator][2] if "pipes" in source)
    site = site_of(page, root)
    assert site.generator.name == generator
    for targets, there in ((THERE, True), (GONE, False), (OPEN, None)):
        for target in targets.get(generator, "").split():
            files = files_of_link(site, page, target)
            assert (any(map(Path.exists, files)) if files else None) is there, (target, files)


def test_a_page_without_a_site_has_plain_links(tmp_path: Path) -> None:
    page = plant(tmp_path, {"a/b.md": "", "a/c.md": ""}) / "a" / "b.md"
    site = site_of(page, tmp_path)
    assert site.generator.name == "Markdown"
    assert files_of_link(site, page, "c.md") == (page.with_name("c.md"),)
    assert files_of_link(site, page, "c%2Emd?x#y") == (page.with_name("c.md"),)
    assert files_of_link(site, page, "/c.md") == ()


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The pipe is a channel, and it is the kernel that keeps the data of a pipe for the reader." * 2, "en"),
        ("Die Pipe ist ein Kanal, und der Kern hält die Daten für den Leser, bis sie gelesen werden." * 2, "de"),
        ("管道是内核中的缓冲区，写入的数据在被读取之前一直保存在那里，两个进程通过它通信。", "zh"),
        ("パイプはカーネル内のバッファであり、書き込まれたデータは読み取られるまで保持されます。", "ja"),
        ("파이프는 커널 안의 버퍼이며 기록된 데이터는 읽힐 때까지 그곳에 보관됩니다.", "ko"),
        ("Канал это буфер в ядре, записанные данные хранятся там, пока их не прочитает другой процесс системы.", "ru"),
        ("Канал це буфер у ядрі, записані дані зберігаються там, поки їх не прочитає інший процес її системи.", "uk"),
        ("pipe fifo socket", None),
    ],
)  # fmt: skip
def test_the_language_of_a_text(text: str, language: str | None) -> None:
    assert detected(text) == language
