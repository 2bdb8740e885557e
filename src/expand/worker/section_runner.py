"""Buy one section of the queue, the way a run of one's own buys it.

What holds: nothing is drafted from anything but what the job says. A workspace whose outline, templates or model make
another key is a misfit, and says in which parts.
"""

import time
from collections.abc import Callable

from expand.drafting.chapter import Chapter, Revision, differences
from expand.drafting.draft_file import Begun, DraftFile, open_chapter
from expand.drafting.events import SectionDone, SectionStarted
from expand.drafting.model_setup import model_setup_for, require_language
from expand.drafting.request_builder import ExtraContext
from expand.drafting.run import status_of
from expand.drafting.run_context import RunContext, UsageCounter, with_other_models
from expand.drafting.run_options import RunOptions
from expand.drafting.section_run import DraftedSection, SectionRun
from expand.drafting.section_state import SectionCheck
from expand.errors import AuthorError, ExpandError, InputError
from expand.settings import Settings
from expand.worker.jobs import SectionJob
from expand.workspace import Workspace

OPEN_CHAPTERS = 32
"""How many chapters stay open: to open one takes 0.1 s, and its sections follow one another."""

REREAD_SECONDS = 2.0
"""How old what was read of the workspace is at least when a section that does not fit has it read again."""


class MisfitError(ExpandError):
    """This workspace says something else than the job."""


class SupersededError(ExpandError):
    """The section was asked for afresh since; its newer job is another one."""


class SectionRunner:
    """Buys sections for one worker, out of its checkout of the workspace."""

    def __init__(
        self,
        workspace: Workspace,
        settings: Settings,
        context: RunContext,
        *,
        write_drafts: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.context = context  # with the other models from `read_workspace` on
        self._workspace = workspace
        self._settings = settings
        self._write_drafts = write_drafts
        self._clock = clock
        self._chapters: dict[tuple[str, RunOptions], Chapter] = {}
        self.read_workspace()

    async def buy(self, job: SectionJob) -> tuple[DraftedSection, UsageCounter]:
        """Buy what a section still lacks; the text that there is now, and what was bought for it.

        Raises ``MisfitError``, ``SupersededError``; ``LedgerError``; ``InputError`` for what cannot be asked at all,
        such as a prompt that does not fit."""
        chapter, check = self._check(job)
        usage = self.context.usage
        usage.on_event(SectionStarted(chapter=job.chapter, section=job.section))
        try:
            drafted = await SectionRun(self.context, chapter, check).draft()
        finally:
            counter = usage.take(job.chapter, job.section)
        if isinstance(drafted.ended_by, InputError):
            raise drafted.ended_by
        status = status_of(drafted.ended_by, counter)
        usage.on_event(SectionDone(chapter=job.chapter, section=job.section, lines=drafted.lines, status=status))
        if self._write_drafts and drafted.ended_by is None:
            self._write(chapter, job, drafted)
        return drafted, counter

    def read_workspace(self) -> None:
        """Read book and templates, and forget the chapters that were made from older ones. Loads the tokenizer, so
        that the first section does not wait for it.

        Raises ``InputError`` where the workspace has no book, or settings that cannot be meant."""
        setup = model_setup_for(self._workspace, self._settings, ledger=self.context.ledger)
        setup.counter.load()
        self._book, self._setup = self._workspace.book(), setup
        self.context = with_other_models(self.context, self._workspace, self._settings)
        self._chapters.clear()
        self._read_at = self._clock()

    def given_up(self) -> AuthorError | None:
        """Why no model can be asked any more for a section's text; None while one can."""
        models = self.context.models_for("draft", self._setup)
        return self.context.client.given_up(setup.profile.name for setup in models)

    def _check(self, job: SectionJob) -> tuple[Chapter, SectionCheck]:
        """The section as the job has it; the workspace is read again where it does not fit."""
        ledger = self.context.ledger
        known_as = job.ledger_id or job.section
        draft = self._book.draft_name(job.chapter, job.options.language)
        number, instruction = ledger.editions().get((draft, known_as), (0, ""))
        if number > job.edition:
            raise SupersededError(f"edition {number} was asked for since this job for edition {job.edition}")
        revision = Revision(number=job.edition, instruction=instruction)
        try:
            try:
                return self._fitting(job, revision)
            except (MisfitError, InputError):
                if self._clock() - self._read_at < REREAD_SECONDS:
                    raise
            self.read_workspace()
            return self._fitting(job, revision)
        except InputError as error:
            raise MisfitError(str(error)) from error

    def _fitting(self, job: SectionJob, revision: Revision) -> tuple[Chapter, SectionCheck]:
        chapter = self._chapter(job)
        section = next((section for section in chapter.outline.sections if section.number == job.section), None)
        if section is None:
            raise MisfitError(f"this workspace's outline of chapter {job.chapter} has no section {job.section}")
        key = chapter.key(section, revision)
        if key != job.key:
            raise MisfitError(_differing(job, key, self._settings.model))
        extra = ExtraContext(present=job.present)
        begun = Begun(tuple(job.begun), job.opening)
        return chapter, SectionCheck(section=section, state="due", revision=revision, key=key, extra=extra, begun=begun)

    def _chapter(self, job: SectionJob) -> Chapter:
        place = (job.chapter, job.options)
        if place not in self._chapters:
            require_language(self._setup.profile, self._book, job.options.language)
            if len(self._chapters) >= OPEN_CHAPTERS:
                self._chapters.clear()
            self._chapters[place] = open_chapter(
                self._workspace, self._book, job.chapter, options=job.options, setup=self._setup
            )
        return self._chapters[place]

    def _write(self, chapter: Chapter, job: SectionJob, drafted: DraftedSection) -> None:
        draft_file = DraftFile(self._workspace, chapter)
        if not draft_file.edited(job.section):
            draft_file.put(job.section, drafted.text, job.key)
        draft_file.write()


def _differing(job: SectionJob, key: str, model: str) -> str:
    named = [
        f"model ({job.model} is wanted, {model} is set here)" if part == "model" and job.model != model else part
        for part in differences(job.key, key)
    ]
    return f"this workspace differs from the job in: {', '.join(named)}"
