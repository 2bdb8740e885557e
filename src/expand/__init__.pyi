# What type checkers see of the names that are imported when they are first used. A test holds the two together.

from expand.api import accept as accept
from expand.api import dry_run as dry_run
from expand.api import expand_chapter as expand_chapter
from expand.api import expand_chapters as expand_chapters
from expand.api import expanding as expanding
from expand.api import read_draft as read_draft
from expand.api import render_report as render_report
from expand.api import review as review
from expand.budget import Balance as Balance
from expand.budget import Limit as Limit
from expand.checks import Finding as Finding
from expand.drafting.accept import Accepted as Accepted
from expand.drafting.accept import AcceptResult as AcceptResult
from expand.drafting.accept import undo as undo
from expand.drafting.acceptance_record import Acceptance as Acceptance
from expand.drafting.approval import Decision as Decision
from expand.drafting.approval import Question as Question
from expand.drafting.dry_run import DryRun as DryRun
from expand.drafting.events import Event as Event
from expand.drafting.events import Notice as Notice
from expand.drafting.events import RunPlanned as RunPlanned
from expand.drafting.events import SectionDone as SectionDone
from expand.drafting.events import SectionGrew as SectionGrew
from expand.drafting.events import SectionPlanned as SectionPlanned
from expand.drafting.events import SectionStarted as SectionStarted
from expand.drafting.results import ChapterResult as ChapterResult
from expand.drafting.results import RunResult as RunResult
from expand.drafting.results import SectionResult as SectionResult
from expand.drafting.run import Run as Run
from expand.drafting.run_options import RunOptions as RunOptions
from expand.errors import AuthorError as AuthorError
from expand.errors import BudgetExceededError as BudgetExceededError
from expand.errors import ExpandError as ExpandError
from expand.errors import InputError as InputError
from expand.errors import InputErrors as InputErrors
from expand.errors import LedgerError as LedgerError
from expand.llm.types import Answer as Answer
from expand.llm.types import AttemptFailedError as AttemptFailedError
from expand.llm.types import Author as Author
from expand.llm.types import Failure as Failure
from expand.llm.types import Finish as Finish
from expand.llm.types import Message as Message
from expand.llm.types import Request as Request
from expand.llm.types import Usage as Usage
from expand.reports.data import figures as figures
from expand.workspace import Workspace as Workspace

__version__: str
__all__: list[str]
