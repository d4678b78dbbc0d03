"""What there is to run: every verb with what it does.

    python -m experiments
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Sequence

from experiments.cli.composition import CONF
from prunekit.config.checks import near

OPTIONS = ("-h", "--help")


def verbs() -> dict[str, str]:
    """What each does, by its name: the start of its docstring, without its source."""
    found = {}
    for path in sorted((CONF.parent / "experiments").glob("*.py")):
        if (CONF / f"{path.stem}.yaml").exists():
            text = " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split())
            found[path.stem] = re.split(r"[.:]| \(|(?<=\?)", text, maxsplit=1)[0]
    return found


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status: 0 for the list, 2 after one line about all else."""
    known = verbs()
    words = [text for text in arguments if text not in OPTIONS]
    if not words:
        print("python -m experiments.VERB [-m] [SETTING=VALUE ...]; --help after a verb lists its settings\n")
        for name, line in known.items():
            print(f"  {name:<16}{line}")
        return 0
    verb = words[0].removeprefix("experiments.")
    right = f"write python -m experiments.{verb}" if verb in known else f"there is no such verb, {near(verb, known)}"
    print(f"experiments: {words[0]}: {right}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
