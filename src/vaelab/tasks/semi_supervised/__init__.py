"""What `vaelab semi-supervised` does: representations of several runs against raw pixels, with few labels.

The numbers come from `applications.representations`. Everything is kept in a folder: ``config.json`` (what was asked),
``representations/`` (of each run), ``cells/`` (each as soon as it is measured), ``results.csv``, ``table.md`` and
``figures/``. Asking again continues where it was stopped.
"""

from vaelab.tasks.semi_supervised.evaluation import Asked, Report, evaluate_runs
from vaelab.tasks.semi_supervised.report import COLUMNS, caption, summaries_json, table

__all__ = ["COLUMNS", "Asked", "Report", "caption", "evaluate_runs", "summaries_json", "table"]
