"""What is said of series before one is read."""

from calcmap.core.scan import SeriesCandidate, SeriesChoice, Verdict


def test_the_rejected_are_the_candidates_that_were_left_in_their_order() -> None:
    chosen = SeriesCandidate("1", "CT", "CTAC", 60, Verdict.CHOSEN, "the only CT", rank=1)
    left = [SeriesCandidate(uid, "NM", "", 1, Verdict.REJECTED, "not a CT") for uid in "23"]
    assert SeriesChoice(chosen, (chosen, *left)).rejected == tuple(left)
