"""Write ``record.schema.json``: python -m prunekit.runs.schema"""

from __future__ import annotations

from prunekit.runs.schema.document import PATH, text
from prunekit.support.files import write_text

if __name__ == "__main__":
    write_text(PATH, text())
    print(PATH)
