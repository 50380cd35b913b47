"""Run one command and print what it cost as JSON; started by path, by an interpreter that loads nothing else.

Linux counts into a process's peak memory what the process that started it held at that moment. Started from a program
that has just simulated a CT, even ``true`` would seem to need hundreds of MB. This file stands between: about 10 MB is
all that it holds, less than any Python program needs. So it imports the standard library alone, and nothing of CalcMap.
"""

import json
import os
import sys
import time


def main() -> None:
    """Run the command of the arguments, its output dropped and its errors passed on; print exit code, times, peak."""
    command = sys.argv[1:]
    drop_output = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    started = time.perf_counter()
    process = os.posix_spawn(command[0], command, os.environ, file_actions=drop_output)
    _, status, usage = os.wait4(process, 0)
    cost = {
        "exit_code": os.waitstatus_to_exitcode(status),
        "wall_seconds": time.perf_counter() - started,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "max_rss": usage.ru_maxrss,
    }
    sys.stdout.write(json.dumps(cost))


if __name__ == "__main__":
    main()
