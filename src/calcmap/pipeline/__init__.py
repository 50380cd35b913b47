"""The whole product on one page: a study in, a result out."""

from calcmap.pipeline.score import ScoredStudy, ScoreOptions, refuse_study, score_study

__all__ = ["ScoreOptions", "ScoredStudy", "refuse_study", "score_study"]
