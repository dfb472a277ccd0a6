"""User interfaces of a review: line by line, on the full screen, in a browser, as a sheet or as text in an editor.

All of them drive a `hierarchy.review.Session`; `actions` is the table of keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hierarchy.review.session import Session
from hierarchy.review.ui.editor import edit_in_editor
from hierarchy.review.ui.line_ui import Terminal, converse
from hierarchy.review.ui.spreadsheet import from_sheet, is_replaceable, to_sheet

__all__ = [
    "Terminal",
    "converse",
    "edit_in_editor",
    "from_sheet",
    "is_replaceable",
    "run_full_screen",
    "run_in_browser",
    "to_sheet",
]


def run_full_screen(session: Session, *, title: str, edit_text: Callable[[str], str] = edit_in_editor) -> None:
    """Runs the review on the full screen until the person quits; `title` is the name of the file."""
    from hierarchy.review.ui.tui.app import ReviewApp  # textual is heavy

    session.prepare()
    ReviewApp(session, title=title, edit_text=edit_text).run()


def run_in_browser(
    session: Session, *, title: str, pictures: Mapping[str, Sequence[Path]], opened: Callable[[str], None]
) -> None:
    """Runs the review in a browser on this machine until the person quits.

    Args:
        session: the review.
        title: the name of the file.
        pictures: class id -> images of it (`hierarchy.sources.find_pictures`).
        opened: hears the address of the page when it can be opened.
    """
    from hierarchy.review.ui.web import serve  # starlette and uvicorn

    session.prepare()
    serve(session, title=title, pictures=pictures, opened=opened)
