# Copyright (c) 2026 The cocp authors
# SPDX-License-Identifier: BSL-1.0
"""build.py DOXYGEN DOXYFILE OUTPUT [THEME]: the site, in OUTPUT/html; in the theme Doxygen Awesome, if that is there.

Doxygen's search knows symbols and the titles of pages. The headings within pages are added here, under each word."""
import html
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

SCRIPTS = {
    'doxygen-awesome-darkmode-toggle.js': 'DoxygenAwesomeDarkModeToggle',
    'doxygen-awesome-fragment-copy-button.js': 'DoxygenAwesomeFragmentCopyButton',
    'doxygen-awesome-paragraph-link.js': 'DoxygenAwesomeParagraphLink',
    'doxygen-awesome-interactive-toc.js': 'DoxygenAwesomeInteractiveToc',
}
STYLES = [
    'doxygen-awesome.css',
    'doxygen-awesome-sidebar-only.css',
    'doxygen-awesome-sidebar-only-darkmode-toggle.css',
]
SMALL_WORDS = set('a an and are as at by for from has have in is it its not of on or that the to what who with your'.split())


def theme_settings(doxygen: str, output: Path, theme: Path) -> str:
    """What the Doxyfile needs for the theme, whose scripts are named in the head of each page."""
    header = output / 'header.html'
    subprocess.run([doxygen, '-w', 'html', header, output / 'footer.html', output / 'default.css'], check=True)
    scripts = ''.join(f'<script type="text/javascript" src="$relpath^{name}"></script>\n'
                      f'<script type="text/javascript">{kind}.init()</script>\n' for name, kind in SCRIPTS.items())
    header.write_text(header.read_text().replace('</head>', scripts + '</head>'))
    styles = [theme / name for name in STYLES] + [Path(__file__).with_name('site.css')]
    lists = {'HTML_EXTRA_STYLESHEET': styles, 'HTML_EXTRA_FILES': [theme / name for name in SCRIPTS]}
    lines = [f'{name} = ' + ' '.join(f'"{file}"' for file in files) for name, files in lists.items()]
    return '\n'.join([f'HTML_HEADER = "{header}"', *lines, ''])


def plain(markup: str) -> str:
    return ' '.join(html.unescape(re.sub('<[^>]*>', '', markup)).split())


def headings(page: Path):
    """What is looked for in a page of the documentation: (link, text, title of the page), its title first."""
    text = page.read_text()
    title = plain(re.search(r'<div class="title">(.*?)</div>', text, re.S)[1])
    yield page.name, title, ''
    begin = r'<h[1-4]><a class="anchor" id="(autotoc_md\d+)"></a>'
    for anchor, heading in re.findall(begin + r'\s*(.*?)</h[1-4]>', text, re.S):
        yield f'{page.name}#{anchor}', plain(heading), title


def search_id(text: str) -> str:
    """As Doxygen's search.js makes it of what was typed: lower case, and all but letters and digits as numbers."""
    return re.sub('[^a-z0-9]', lambda c: '_%02x' % ord(c[0]) if ord(c[0]) < 128 else c[0], text.lower())


def add_to_search(site: Path) -> None:
    found: dict[str, list] = {}
    for page in [site / 'index.html', *sorted(site.glob('md_*.html'))]:
        for link, text, title in headings(page):
            for word in re.finditer(r'\w+', text):
                known = not title and word.start() == 0
                if word[0].lower() not in SMALL_WORDS and not known:
                    entry = [html.escape(text), [f'../{link}', 1, html.escape(title)]]
                    found.setdefault(word[0][0].lower(), []).append((search_id(text[word.start():]), entry))
    # There is a file for each letter that something begins with. For one that nothing of Doxygen's does there is none.
    letters = re.search(r'0: "([^"]*)"', (site / 'search' / 'searchdata.js').read_text())[1]
    for letter in set(found) & set(letters):
        file = site / 'search' / f'all_{letters.index(letter):x}.js'
        lines = [json.dumps([f'{key}_h{number}', entry]) for number, (key, entry) in enumerate(found[letter])]
        before, end = file.read_text().rsplit('\n]', 1)
        file.write_text(before + ',\n  ' + ',\n  '.join(lines) + '\n]' + end)


def main(doxygen: str, doxyfile: str, output: str, theme: str = '') -> None:
    site = Path(output) / 'html'
    shutil.rmtree(site, ignore_errors=True)
    settings = Path(doxyfile).read_text()
    if theme:
        settings += theme_settings(doxygen, Path(output), Path(theme))
    subprocess.run([doxygen, '-'], input=settings, text=True, check=True)
    add_to_search(site)


main(*sys.argv[1:])
