"""Every address of the review page. A route asks the service and answers with what it said."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr

from calcmap import __version__
from calcmap.core.errors import NotInStoreError, ReviewError
from calcmap.core.result import DISCLAIMER, JsonValue
from calcmap.service.looks import Looks
from calcmap.service.review_edits import Site, edit_from_json
from calcmap.service.reviewing import CurrentReview, Reviewing
from calcmap.service.store_voxels import read_header, read_slice_gzip
from calcmap.service.store_worklist import WorklistQuery, WorklistState
from calcmap.web.answers import machine_calcium, review_state, study_page, worklist_page
from calcmap.web.callers import Reviews, Sees, SignedIn
from calcmap.web.files import page_files
from calcmap.web.pictures import pack_heart

BYTES = "application/octet-stream"
GZIP = {"content-encoding": "gzip"}
MAX_ROWS = 100
"""Most studies of one page of the worklist: a few screens (our choice)."""
MAX_FIRST = 10**9
MAX_SEARCH_CHARACTERS = 200

router = APIRouter()


@dataclass(frozen=True)
class Serving:
    """What the routes speak to."""

    reviewing: Reviewing
    looks: Looks


def get_serving(request: Request) -> Serving:
    """Return what the app was made with."""
    serving: Serving = request.app.state.serving
    return serving


Served = Annotated[Serving, Depends(get_serving)]


class WorklistRequest(BaseModel):
    """Which studies, and how many of them."""

    model_config = ConfigDict(extra="forbid")
    state: WorklistState | None = None
    q: Annotated[str, Field(max_length=MAX_SEARCH_CHARACTERS)] = ""
    first: Annotated[int, Field(ge=0, le=MAX_FIRST)] = 0
    limit: Annotated[int, Field(ge=1, le=MAX_ROWS)] = MAX_ROWS


class EditsRequest(BaseModel):
    """Edits, and the revision that the reader saw."""

    model_config = ConfigDict(extra="forbid")
    revision: StrictInt
    edits: list[dict[str, object]]


class SignRequest(BaseModel):
    """The revision that was seen, and the signer's name, which an account has already."""

    model_config = ConfigDict(extra="forbid")
    revision: StrictInt
    name: StrictStr = ""


@router.get("/")
def index() -> Response:
    """Return the page."""
    return static("index.html")


@router.get("/static/{name}")
def static(name: str) -> Response:
    """Return a file of the page."""
    found = page_files().get(name)
    if found is None:
        return Response(status_code=HTTPStatus.NOT_FOUND)
    return Response(found.content, media_type=found.media_type)


@router.get("/api/session")
def session(served: Served, caller: SignedIn) -> JSONResponse:
    """Return what the page needs to know of itself and its user, the header of writes among it."""
    return JSONResponse(
        {
            "csrf": caller.csrf,
            "account": caller.account,
            "name": caller.name,
            "role": caller.role,
            "rights": sorted(caller.rights),
            "version": __version__,
            "disclaimer": DISCLAIMER,
            "sites": [site.value for site in Site],
            "goes_out": served.reviewing.outbox is not None,
        }
    )


@router.get("/api/worklist")
def worklist(asked: Annotated[WorklistRequest, Query()], served: Served, caller: Sees) -> JSONResponse:
    """Return a page of studies, most urgent first, and how many there are of each state; whom it names is recorded."""
    store = served.reviewing.store
    page = store.worklist_page(WorklistQuery(state=asked.state, text=asked.q, first=asked.first, limit=asked.limit))
    shown: list[JsonValue] = [row.study_id for row in page.rows]
    store.record("view_worklist", subject="worklist", actor=caller.account, detail={"studies": shown})
    return JSONResponse(worklist_page(page))


@router.get("/api/results/{result_id}")
def result(result_id: int, served: Served, caller: Sees) -> JSONResponse:
    """Return a study and its machine result; that somebody looked is recorded."""
    store = served.reviewing.store
    row = store.worklist_row(result_id)
    store.record("view_study", subject=f"study:{row.study_id}", actor=caller.account)
    stored, _ = store.machine_result(result_id)
    return JSONResponse(study_page(store, row, stored))


@router.post("/api/results/{result_id}/review")
def open_review(result_id: int, served: Served, caller: Reviews) -> JSONResponse:
    """Return the newest review of a result, begun now where there was none, with the machine's calcium."""
    store = served.reviewing.store
    row = store.worklist_row(result_id)
    if not store.has_scan(row.study_id):
        raise NotInStoreError(f"the images of study {row.study_id} are not in the store: it can be seen, not reviewed")
    review = store.open_review(result_id, actor=caller.account)
    current = served.reviewing.current(review.id)
    return JSONResponse(_state(served, current) | {"machine_calcium": machine_calcium(current)})


@router.get("/api/results/{result_id}/review")
def look_at_review(result_id: int, served: Served, caller: Sees) -> JSONResponse:
    """Return the newest review of a result, or its machine's result where there is none; nothing is begun."""
    current = _current(served, result_id, caller.account)
    return JSONResponse(_state(served, current) | {"machine_calcium": machine_calcium(current)})


@router.get("/api/results/{result_id}/heart")
def heart_of_result(result_id: int, served: Served, caller: Sees) -> Response:
    """Return the heart of a result, one bit a voxel."""
    current = _current(served, result_id, caller.account)
    return Response(pack_heart(current.review), media_type=BYTES, headers=GZIP)


@router.get("/api/reviews/{review_id}")
def review(review_id: int, served: Served, caller: Sees) -> JSONResponse:
    """Return a review as it stands."""
    current = served.reviewing.current(review_id)
    served.looks.note("view_review", subject=f"review:{review_id}", actor=caller.account)
    return JSONResponse(_state(served, current))


@router.post("/api/reviews/{review_id}/edits")
def edit(review_id: int, asked: EditsRequest, served: Served, caller: Reviews) -> JSONResponse:
    """Save edits and return the review after them."""
    edits = [edit_from_json(each) for each in asked.edits]
    saved = served.reviewing.edit(review_id, edits, revision=asked.revision, author=caller.account)
    return JSONResponse(_state(served, saved))


@router.post("/api/reviews/{review_id}/sign")
def sign(review_id: int, asked: SignRequest, served: Served, caller: Reviews) -> JSONResponse:
    """Sign a review as it was seen, with the name of the account where it has one."""
    if caller.name is not None and asked.name not in ("", caller.name):
        raise ReviewError("a review is signed with the name of the account that is logged in")
    served.reviewing.sign(review_id, revision=asked.revision, account=caller.account, name=caller.name or asked.name)
    return JSONResponse(_state(served, served.reviewing.current(review_id)))


@router.post("/api/reviews/{review_id}/amend")
def amend(review_id: int, served: Served, caller: Reviews) -> JSONResponse:
    """Begin an amendment where a signed review ended."""
    amendment = served.reviewing.store.amend_review(review_id, actor=caller.account)
    return JSONResponse(_state(served, served.reviewing.current(amendment.id)))


@router.get("/api/reviews/{review_id}/delivery")
def delivery(review_id: int, served: Served, caller: Sees) -> JSONResponse:
    """Return what became of the reports of a signed review."""
    return JSONResponse(served.reviewing.going_out().status(review_id).as_json())


@router.post("/api/reviews/{review_id}/delivery")
def send_again(review_id: int, served: Served, caller: Reviews) -> JSONResponse:
    """Let the reports of a signed review go out once more, and return what became of them so far."""
    outbox = served.reviewing.going_out()
    return JSONResponse(outbox.send_again(review_id, actor=caller.account).as_json())


@router.get("/api/reviews/{review_id}/heart")
def heart(review_id: int, served: Served, caller: Sees) -> Response:
    """Return the heart of a review, one bit a voxel."""
    current = served.reviewing.current(review_id)
    served.looks.note("view_review", subject=f"review:{review_id}", actor=caller.account)
    return Response(pack_heart(current.review), media_type=BYTES, headers=GZIP)


@router.get("/api/studies/{study_id}/ct/{slice_index}")
def ct_slice(study_id: int, slice_index: int, served: Served, caller: Sees) -> Response:
    """Return one slice in HU, int16 little endian, row after row, as it lies on the disk."""
    store = served.reviewing.store
    path = store.contents.path_of(_only_content(served, study_id, "ct"))
    served.looks.note("view_images", subject=f"study:{study_id}", actor=caller.account)
    header = read_header(path)
    if not 0 <= slice_index < header.grid.shape_zyx[0]:
        return Response(status_code=HTTPStatus.NOT_FOUND)
    return Response(read_slice_gzip(path, header, slice_index), media_type=BYTES, headers=GZIP)


@router.get("/api/studies/{study_id}/overview")
def overview(study_id: int, served: Served, caller: Sees) -> Response:
    """Return the picture that came with a result."""
    content = served.reviewing.store.contents.get(_only_content(served, study_id, "overview"))
    served.looks.note("view_images", subject=f"study:{study_id}", actor=caller.account)
    return Response(content, media_type="image/png")


def _current(served: Serving, result_id: int, account: str) -> CurrentReview:
    """Return the newest review of a result, or what one would begin with; that somebody looks is recorded."""
    row = served.reviewing.store.worklist_row(result_id)
    served.looks.note("view_images", subject=f"study:{row.study_id}", actor=account)
    return served.reviewing.current(row.review_id) if row.review_id else served.reviewing.unbegun(result_id)


def _state(served: Serving, current: CurrentReview) -> dict[str, JsonValue]:
    return review_state(current, served.reviewing.store.signature(current.stored.id))


def _only_content(served: Serving, study_id: int, kind: str) -> str:
    found = served.reviewing.store.study_contents(study_id, kind=kind)
    if not found:
        raise NotInStoreError(f"study {study_id} has no {kind} in the store")
    return next(iter(found.values()))
