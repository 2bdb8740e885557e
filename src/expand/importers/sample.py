"""The chapter that ``expand init`` writes into an empty folder, to start with."""

from typing import NamedTuple

from expand.paths import DATA
from expand.workspace import Workspace, read_text


class Sample(NamedTuple):
    """A chapter to start with; ``document`` is the text of its document."""

    id: str
    title: str
    source: str
    document: str

    @property
    def outline(self) -> str:
        """The text of its outline."""
        return (DATA / "sample_outline.yaml").read_text(encoding="utf-8")

    def is_untouched(self, workspace: Workspace) -> bool:
        """Whether it is all that the workspace has, and as it was written: no text of anybody is lost with it."""
        files = {workspace.outline_path(self.id): self.outline, workspace.inside(self.source): self.document}
        drafts = workspace.draft_path(self.id).parent.glob(f"{self.id}.*")  # in every language
        made = (*drafts, workspace.brief_path(self.id), workspace.memory_path(self.id))
        return (
            workspace.chapter_ids() == (self.id,)
            and workspace.book_path.is_file()
            and [(one.id, one.source, *one.title.every()) for one in workspace.book().chapters]
            == [(self.id, self.source, self.title)]
            and all(path.is_file() and read_text(path) == text for path, text in files.items())
            and not any(path.exists() for path in made)
        )


SAMPLE = Sample(
    id="01",
    title="Getting started",
    source="chapters/01_getting_started.md",
    document="# Getting started\n",
)
