#!/usr/bin/env python3
"""Prints the end of each failed test's output, from a file that ctest --output-junit wrote.

A run says so much after a failure that whoever sees only its last lines does not see its reason.
"""

import sys
import xml.etree.ElementTree

TESTS = 5
LINES = 40


def main():
    cases = xml.etree.ElementTree.parse(sys.argv[1]).iter("testcase")
    failed = [case for case in cases if case.get("status") == "fail"]
    for case in failed[:TESTS]:
        print(f"\n✗ {case.get('name')}; the end of its output:\n")
        print("\n".join(case.findtext("system-out", "").splitlines()[-LINES:]))
    if len(failed) > TESTS:
        print(f"\n… and {len(failed) - TESTS} more tests.")


if __name__ == "__main__":
    main()
