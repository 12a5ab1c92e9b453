#!/usr/bin/env python3
# Copyright (c) 2026 The cocp authors
# SPDX-License-Identifier: BSL-1.0
"""Prints what to build for some tests, in words for ninja: targets.py BUILD_DIRECTORY SUITE|TEST...
With --tests first, the names of those tests: of suites and tests meson runs only what is in both."""
import json
import pathlib
import sys


def main(build, *wanted):
    names_only = build == '--tests'
    if names_only:
        build, *wanted = wanted
    build = pathlib.Path(build).resolve()

    def about(what):
        return json.loads((build / 'meson-info' / f'intro-{what}.json').read_text(encoding='utf-8'))

    files = {target['id']: target['filename'] for target in about('targets')}
    targets = set()
    names = set()
    for name in wanted:
        # A suite has the project's name before its own.
        found = [test for test in about('tests')
                 if test['name'] == name or name in (suite.partition(':')[2] for suite in test['suite'])]
        if not found:
            sys.exit(f'there is no test and no suite {name}')
        names.update(test['name'] for test in found)
        for test in found:
            for part in test['depends']:
                targets.update(str(pathlib.Path(file).relative_to(build)) for file in files[part])
    print(*sorted(names if names_only else targets))


if __name__ == '__main__':
    main(*sys.argv[1:])
