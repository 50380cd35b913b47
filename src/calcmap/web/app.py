"""The review page as one application."""

from __future__ import annotations

import logging
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp

from calcmap.core.errors import (
    CalcMapError,
    InputError,
    NotInStoreError,
    ReviewConflictError,
    ReviewError,
    ReviewSignedError,
)
from calcmap.core.result import JsonValue
from calcmap.service.reviewing import Reviewing
from calcmap.service.store_reviews import StoredEdit
from calcmap.web.access import Guard, LocalAccess
from calcmap.web.answers import edit_entry
from calcmap.web.routes import Serving, router

STATUS_OF_ERROR: tuple[tuple[type[CalcMapError], HTTPStatus], ...] = (
    (ReviewConflictError, HTTPStatus.CONFLICT),
    (ReviewSignedError, HTTPStatus.CONFLICT),
    (ReviewError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (InputError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (NotInStoreError, HTTPStatus.NOT_FOUND),
    (CalcMapError, HTTPStatus.INTERNAL_SERVER_ERROR),
)
"""The first that fits."""

logger = logging.getLogger(__name__)


def make_app(reviewing: Reviewing, access: LocalAccess) -> ASGIApp:
    """Return the application that serves the page and its data to whoever may see them.

    Parameters
    ----------
    reviewing : Reviewing
        Over an open store.
    access : LocalAccess
        Who may pass.

    Returns
    -------
    ASGIApp
        For a server, or for a test client.
    """
    app = FastAPI(title="CalcMap review", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.serving = Serving(reviewing, access)
    app.include_router(router)
    app.add_exception_handler(CalcMapError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_malformed)
    app.add_exception_handler(Exception, _answer_defect)
    return Guard(app, access=access)


def error_to_json(error: CalcMapError) -> dict[str, JsonValue]:
    """Return an error as the page shows it; of a conflict, what was saved meanwhile."""
    said: dict[str, JsonValue] = {"code": error.code, "error": str(error)}
    if isinstance(error, ReviewConflictError):
        since: list[JsonValue] = [edit_entry(each) for each in error.since if isinstance(each, StoredEdit)]
        return said | {"revision": error.revision, "since": since}
    return said


def _answer_error(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, CalcMapError):
        return _answer_defect(request, error)
    status = next(status for kind, status in STATUS_OF_ERROR if isinstance(error, kind))
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("a request failed: %s: %s", error.code, error)
    return JSONResponse(error_to_json(error), status_code=status)


def _answer_malformed(request: Request, error: Exception) -> JSONResponse:
    """Answer a request of the wrong form, without repeating what it held."""
    said = {"code": "malformed", "error": "the request is not of the form that this address takes"}
    return JSONResponse(said, status_code=HTTPStatus.UNPROCESSABLE_ENTITY)


def _answer_defect(request: Request, error: Exception) -> JSONResponse:
    logger.error("a request met a defect: %s", type(error).__name__)
    said = {"code": "internal_error", "error": f"unexpected {type(error).__name__} in the server"}
    return JSONResponse(said, status_code=HTTPStatus.INTERNAL_SERVER_ERROR)
