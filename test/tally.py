#!/usr/bin/env python3
# Copyright (c) 2026 The cocp authors
# SPDX-License-Identifier: BSL-1.0
"""Counts the test cases of one `meson test` run: tally.py BUILD_DIRECTORY

Prints `passed failed` on standard output, and each case that failed on standard error. A program of Boost.Test counts
as the cases in its report. One that crashed or hung left no report, and one that failed though no case did (a leak seen
at its end) or that ran no case at all has nobody to blame: each counts as one failure. Any other program counts as one
case. A case whose precondition does not hold is no pass: it is told on standard error, with the reason.
"""
import json
import pathlib
import re
import sys
import xml.etree.ElementTree as xml

SINK = '--report_sink='
# What Boost.Test says of a precondition; of what the command line leaves out it says "disabled".
SKIPPED = re.compile(r'Test (?:case|suite) "?(\S+?)"? is skipped because (?!disabled)(.*)')


def cases(report, path=''):
    """Name and result of each test case in a detailed report, data sets row by row."""
    for child in report:
        name = f"{path}/{child.get('name', '')}"
        if child.tag == 'TestCase':
            yield name, child.get('result')
        elif child.tag in ('TestSuite', 'TestResult'):
            yield from cases(child, name)


def count(test):
    failed = []
    passed = 0
    name = test['name']
    sinks = [word[len(SINK):] for word in test['command'] if word.startswith(SINK)]
    if not sinks:
        return (1, []) if test['result'] == 'OK' else (0, [name])
    try:
        report = xml.parse(sinks[0]).getroot()
    except (OSError, xml.ParseError):
        return 0, [f"{name}: {test['result']}, without a report"]
    for case, result in cases(report):
        if result == 'passed':
            passed += 1
        elif result != 'skipped':
            failed.append(f'{name}: {case}: {result}')
    if not failed and test['result'] != 'OK':
        failed.append(f"{name}: {test['result']} (exit status {test['returncode']}), though no case failed")
    elif not failed and passed == 0:
        failed.append(f'{name}: ran no test case')
    return passed, failed


def main(build):
    passed, failed = 0, []
    with open(pathlib.Path(build, 'meson-logs', 'testlog.json'), encoding='utf-8') as log:
        for line in log:
            test = json.loads(line)
            more, losses = count(test)
            for case, reason in SKIPPED.findall(test.get('stdout', '')):
                print(f"NOT TESTED {test['name']}: {case}: {reason}", file=sys.stderr)
            passed += more
            failed += losses
    if passed + len(failed) == 0:
        failed.append('no test was run')
    for what in failed:
        print('FAILED', what, file=sys.stderr)
    print(passed, len(failed))


if __name__ == '__main__':
    main(sys.argv[1])
