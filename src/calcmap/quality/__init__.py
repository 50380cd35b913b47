"""What makes a scan or a heart mask unfit for a score: flags with severity and reason.

Two questions, asked at two moments: `assess_scan` before any network has run, `assess_heart` once the heart has been
found. Each rule with its limit, reason and source stands in `RULES`; `docs/reference/quality.md` shows them as a table.
"""

from calcmap.quality.heart_checks import assess_heart
from calcmap.quality.rules import RULES, QualityRule, refusals, rules_table
from calcmap.quality.scan_checks import assess_scan

__all__ = ["RULES", "QualityRule", "assess_heart", "assess_scan", "refusals", "rules_table"]
