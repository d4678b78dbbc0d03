"""What the models of a run answered to each row, from its record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analysis.data.columns import DamagedRecordError
from analysis.data.loading import Journal
from analysis.data.records import Record
from prunekit.runs.schema.answer_file import FILE, read_answers

if TYPE_CHECKING:
    from prunekit.evaluation.row_answers import AnswerSheet


def answers_of(record: Record, role: str = "evaluation") -> AnswerSheet | None:
    """The answers to the rows of a role; None where the record has none, as older ones.

    Raises:
        DamagedRecordError: the file is missing or cannot be used, or its answers are to other rows than the record's.
    """
    path = record.folder / FILE
    if role not in record.answers and not path.exists():
        return None
    try:
        sheets = read_answers(path)
    except FileNotFoundError:
        raise DamagedRecordError(f"{path}: missing") from None
    except (OSError, ValueError) as error:
        raise DamagedRecordError(f"{path}: {error}") from None
    if role not in sheets:
        raise DamagedRecordError(f"{path}: no answers to the rows of {role}")
    own = sheets[role].answers
    named = [(item.rows, item.fingerprint) for item in record.data if item.role == role]
    if (len(own), own.rows) not in named:
        raise DamagedRecordError(
            f"{path}: {len(own)} answers to rows {own.rows}, the record has "
            f"{' and '.join(f'{rows} rows {fingerprint}' for rows, fingerprint in named) or 'none'}"
        )
    return sheets[role]


def usable_answers(record: Record, journal: Journal, unused: str = "not compared pair by pair") -> AnswerSheet | None:
    """The answers to the evaluation rows; those that cannot be used are as if there were none, and named.

    Arguments:
        unused: what is not done then.
    """
    try:
        return answers_of(record)
    except DamagedRecordError as error:
        journal.warn(f"{unused}: {error}")
        return None
