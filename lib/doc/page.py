# Copyright (c) 2026 The cocp authors
# SPDX-License-Identifier: BSL-1.0
"""page.py FILE: what Doxygen reads of a page: with a table of contents, with links to the programs as it has them, and
with other words for what it does not take as others do (1.9.4)."""
import re
import sys
from pathlib import Path

text = Path(sys.argv[1]).read_text()
text = re.sub(r'^(# .*\n)', r'\1\n[TOC]\n', text, count=1)
text = re.sub(r'\]\((?:\.\./)*test/example/(\w+\.[ch]pp)\)', r'](@ref \1)', text)
text = re.sub(r'\]\((?:\.\./)*test/example\)', '](examples.html)', text)
# What is no page is in the repository only.
text = re.sub(r'\[([^\]]+)\]\(lib/(?:abi|packaging)[^)]*\)', r'`\1`', text)
# To Doxygen `a' is quoted as in TeX, so that code with an apostrophe in it has to stand in two of these.
text = re.sub(r"(?<!`)`([^`\n]+)`(?!`)", lambda code: f'`{code[0]}`' if "'" in code[1] else code[0], text)
# To Doxygen bold text does not begin with code.
text = re.sub(r'\*\*(`[^*\n]*)\*\*', r'<b>\1</b>', text)
# To Doxygen an empty line ends what can be folded away; others need it before code.
text = re.sub(r'</summary>\n\n', '</summary>\n', text)
text = re.sub(r'\n\n</details>', '\n</details>', text)
sys.stdout.write(text)
