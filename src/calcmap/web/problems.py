"""Errors as answers: a status, a code and words; never a traceback, nor what a request held."""

from __future__ import annotations

import logging
import math
from http import HTTPStatus

from fastapi import Request
from fastapi.responses import JSONResponse

from calcmap.core.errors import (
    AccessError,
    CalcMapError,
    InputError,
    NotAllowedError,
    NotInStoreError,
    NotSignedInError,
    ReviewConflictError,
    ReviewError,
    ReviewSignedError,
    TooManyRequestsError,
)
from calcmap.core.result import JsonValue
from calcmap.service.store_reviews import StoredEdit
from calcmap.web.answers import edit_entry

STATUS_OF_ERROR: tuple[tuple[type[CalcMapError], HTTPStatus], ...] = (
    (ReviewConflictError, HTTPStatus.CONFLICT),
    (ReviewSignedError, HTTPStatus.CONFLICT),
    (ReviewError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (InputError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (NotInStoreError, HTTPStatus.NOT_FOUND),
    (NotSignedInError, HTTPStatus.UNAUTHORIZED),
    (NotAllowedError, HTTPStatus.FORBIDDEN),
    (TooManyRequestsError, HTTPStatus.TOO_MANY_REQUESTS),
    (AccessError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (CalcMapError, HTTPStatus.INTERNAL_SERVER_ERROR),
)
"""The first that fits."""

logger = logging.getLogger(__name__)


def error_to_json(error: CalcMapError) -> dict[str, JsonValue]:
    """Return an error as the page shows it; of a conflict, what was saved meanwhile."""
    said: dict[str, JsonValue] = {"code": error.code, "error": str(error)}
    if isinstance(error, ReviewConflictError):
        since: list[JsonValue] = [edit_entry(each) for each in error.since if isinstance(each, StoredEdit)]
        return said | {"revision": error.revision, "since": since}
    return said


def answer_error(request: Request, error: Exception) -> JSONResponse:
    """Answer an error of ours by its kind."""
    if not isinstance(error, CalcMapError):
        return answer_defect(request, error)
    status = next(status for kind, status in STATUS_OF_ERROR if isinstance(error, kind))
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("a request failed: %s: %s", error.code, error)
    answer = JSONResponse(error_to_json(error), status_code=status)
    if isinstance(error, TooManyRequestsError):
        answer.headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
    return answer


def answer_malformed(request: Request, error: Exception) -> JSONResponse:
    """Answer a request of the wrong form, without repeating what it held."""
    said = {"code": "malformed", "error": "the request is not of the form that this address takes"}
    return JSONResponse(said, status_code=HTTPStatus.UNPROCESSABLE_ENTITY)


def answer_defect(request: Request, error: Exception) -> JSONResponse:
    """Answer what must not happen."""
    logger.error("a request met a defect: %s", type(error).__name__)
    said = {"code": "internal_error", "error": f"unexpected {type(error).__name__} in the server"}
    return JSONResponse(said, status_code=HTTPStatus.INTERNAL_SERVER_ERROR)
