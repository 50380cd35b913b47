"""The review page as one application."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.types import ASGIApp

from calcmap.core.errors import CalcMapError
from calcmap.service.looks import Looks
from calcmap.service.reviewing import Reviewing
from calcmap.web.access import Access, Guard
from calcmap.web.problems import answer_defect, answer_error, answer_malformed
from calcmap.web.routes import Serving, router


def make_app(reviewing: Reviewing, access: Access, *, more: APIRouter | None = None, door: object = None) -> ASGIApp:
    """Return the application that serves the page and its data to whoever may see them.

    Parameters
    ----------
    reviewing : Reviewing
        Over an open store.
    access : Access
        Who may pass.
    more : APIRouter, optional
        Further addresses.
    door : object, optional
        What the further addresses speak to.

    Returns
    -------
    ASGIApp
        For a server, or for a test client.
    """
    app = FastAPI(title="CalcMap review", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.serving = Serving(reviewing, Looks(reviewing.store))
    app.state.door = door
    app.include_router(router)
    if more is not None:
        app.include_router(more)
    app.add_exception_handler(CalcMapError, answer_error)
    app.add_exception_handler(RequestValidationError, answer_malformed)
    app.add_exception_handler(Exception, answer_defect)
    return Guard(app, access=access)
