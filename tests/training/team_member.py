"""One process of a team, started by torchrun from a test: SETTINGS DATA RUN CACHE."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from calcmap.core.config import config_from_dict
from calcmap.training.config import TrainConfig
from calcmap.training.loop import train

if __name__ == "__main__":
    settings, data, run, cache = (Path(argument) for argument in sys.argv[1:])
    table = {key: value for key, value in json.loads(settings.read_text(encoding="utf-8")).items() if value is not None}
    train([data], config_from_dict(table, TrainConfig, where=str(settings)), run=run, cache=cache)
