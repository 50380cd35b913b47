"""The whole product on one page: a study in, a result out."""

from calcmap.pipeline.score import ScoredStudy, ScoreOptions, score_study

__all__ = ["ScoreOptions", "ScoredStudy", "score_study"]
