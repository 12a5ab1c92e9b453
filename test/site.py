# Copyright (c) 2026 The cocp authors
# SPDX-License-Identifier: BSL-1.0
"""site.py FOLDER: looks at the site of the documentation that was built there; prints what passed and what failed."""
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

site = Path(sys.argv[1]).resolve()
root = Path(__file__).resolve().parent.parent


def check(what: str, wrong) -> None:
    wrong = sorted(wrong)
    print('\n'.join(f'failed: {what}: {each}' for each in wrong) or f'passed: {what}')


class Page(HTMLParser):
    def __init__(self, file: Path):
        super().__init__()
        self.anchors, self.links, self.file = {''}, set(), file
        text = file.read_text()
        self.feed(text)
        # What is left of Markdown where there is no code.
        prose = re.sub(r'(?s)<(code|pre|script)\b.*?</\1>|<div class="line">.*?</div>', '', text)
        self.raw = re.findall(r'.{0,20}(?:\*\*|`).{0,20}', prose)

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ('id', 'name') and value:
                self.anchors.add(value)
            elif name in ('href', 'src') and value and not re.match('[a-z]+:', value):
                self.links.add(value)


pages = {file: Page(file) for file in site.rglob('*.html')}


def is_broken(page: Page, link: str) -> bool:
    path, _, anchor = link.partition('#')
    target = (page.file.parent / path).resolve() if path else page.file
    return not target.exists() or (target in pages and anchor not in pages[target].anchors)


def site_name(source: Path) -> str:
    return 'md_' + str(source.relative_to(root).with_suffix('')).replace('/', '_') + '.html'


sources = [*root.glob('lib/doc/*.md'), root / 'lib/README.md', root / 'bench/README.md']
contents = (site / 'navtreedata.js').read_text()
check('in the table of contents', (s.name for s in sources if f'"{site_name(s)}"' not in contents))
programs = [file for file in root.glob('test/example/*.cpp') if not file.stem.endswith('_test')]
check('a page for each example', (p.name for p in programs if not (site / f'{p.stem}_8cpp-example.html').exists()))
headers = [f'<cocp/{file.name}>' for file in root.glob('include/cocp/*.hpp')]
by_header = (root / 'lib/doc/reference.md').read_text()
check('a row for each header', (header for header in headers if header not in by_header))

found = ''.join(file.read_text() for file in (site / 'search').glob('all_*.js'))
wanted = ['../classcocp_1_1pool.html', '../md_lib_doc_recipes.html#', 'Graceful shutdown']
check('found by the search', (each for each in wanted if each not in found))

check('links', {f'{p.file.name}: {link}' for p in pages.values() for link in p.links if is_broken(p, link)})
check('Markdown made HTML', {f'{p.file.name}: {text}' for p in pages.values() for text in p.raw})
if Path('/usr/share/doxygen-awesome-css').is_dir():
    check('the theme', (file.name for file in site.glob('*.html') if 'doxygen-awesome.css' not in pages[file].links))
