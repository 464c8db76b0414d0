"""Reads the reports of Autobahn servers and fails unless every case is passed.

usage: check.py AGENT rfc6455|deflate|all REPORT/index.json...
"""

import json
import sys
from collections import Counter
from pathlib import Path

EXPECTED_CASES = {"rfc6455": 301, "deflate": 216, "all": 517}

# The suite does not decide these: a Close right behind a large message, and two
# Closes with codes that the RFC gives no meaning.
MAY_BE_INFORMATIONAL = {"7.1.6", "7.13.1", "7.13.2"}


def main(agent, cases, *indexes):
    results = {}
    for index in indexes:
        if not Path(index).exists():
            sys.exit(f"autobahn: there is no report at {index}")
        reports = json.loads(Path(index).read_text())
        if set(reports) != {agent}:
            sys.exit(f"autobahn: {index} is about {sorted(reports)}, not about {agent}")
        results.update(reports[agent])
    results = dict(sorted(results.items(), key=lambda item: number(item[0])))

    failed = {case: result for case, result in results.items() if not passes(case, result)}
    print_table(results)
    for case, result in failed.items():
        print(f"case {case}: behavior {result['behavior']}, close {result['behaviorClose']}")
    print(f"autobahn: {len(results) - len(failed)} passed, {len(failed)} failed")
    if len(results) != EXPECTED_CASES[cases]:
        sys.exit(f"autobahn: {len(results)} cases ran, not {EXPECTED_CASES[cases]}")
    if failed:
        sys.exit("autobahn: failed")


def passes(case, result):
    allowed = {"OK", "INFORMATIONAL"} if case in MAY_BE_INFORMATIONAL else {"OK"}
    return result["behavior"] in allowed and result["behaviorClose"] in allowed


def print_table(results):
    sections = {}
    for case, result in results.items():
        section = sections.setdefault(number(case)[0], Counter())
        section[result["behavior"]] += 1
    print("section  cases  behavior")
    for section, behaviors in sections.items():
        counts = ", ".join(f"{behavior} {count}" for behavior, count in behaviors.most_common())
        print(f"{section:>7}  {sum(behaviors.values()):>5}  {counts}")

    slowest = sorted(results.items(), key=lambda item: -item[1]["duration"])[:5]
    print("slowest: " + ", ".join(f"{case} {result['duration']} ms" for case, result in slowest))
    for aspect in ("behavior", "behaviorClose"):
        counts = Counter(result[aspect] for result in results.values())
        print(f"{aspect}: " + ", ".join(f"{behavior} {count}" for behavior, count in counts.most_common()))


def number(case):
    return [int(part) for part in case.split(".")]


if __name__ == "__main__":
    main(*sys.argv[1:])
