"""When does a claim hold? One function a claim, one module a paper; margins come from the files of claims.

A function takes the runs and returns one :class:`~analysis.claims.claim.Outcome` a teacher or task, or an empty list
when the records cannot tell.
"""

from analysis.claims.criteria import albert, cofi, kwon, michel, shapes, translation

__all__ = ["albert", "cofi", "kwon", "michel", "shapes", "translation"]
