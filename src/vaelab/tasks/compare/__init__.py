"""What `vaelab compare` does: the numbers and curves of several runs beside each other, and whether they can be."""

from vaelab.tasks.compare.conclusions import conclude
from vaelab.tasks.compare.groups import Comparison, Group, Member, Number, compare_runs
from vaelab.tasks.compare.report import Files, check_out, write_comparison
from vaelab.tasks.compare.tables import main_metrics, metric_title, numbers_table, spread_words

__all__ = [
    "Comparison",
    "Files",
    "Group",
    "Member",
    "Number",
    "check_out",
    "compare_runs",
    "conclude",
    "main_metrics",
    "metric_title",
    "numbers_table",
    "spread_words",
    "write_comparison",
]
