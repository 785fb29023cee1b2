"""`python -m tests.conformance [SLUG…] [--diffs N] [--cases]`"""

from __future__ import annotations

import argparse

from router.destinations import catalog
from tests.conformance.rudder import rudder_column
from tests.conformance.run import VECTORS, Column, segment_columns


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance")
    parser.add_argument("slugs", nargs="*", help="destinations; all by default")
    parser.add_argument("--diffs", type=int, default=1, help="how many differing cases to show")
    parser.add_argument("--no-rudder", action="store_true", help="only Segment's")
    given = parser.parse_args()
    if not VECTORS.is_dir():
        print(f"skipped: no vectors at {VECTORS}")
        return
    columns = []
    for slug in given.slugs or catalog().slugs():
        columns += segment_columns(slug)
        if not given.no_rudder and (column := rudder_column(slug)) is not None:
            columns.append(column)
    width = max([len(column.slug) for column in columns], default=0)
    for column in columns:
        _print(column, width, given.diffs)
    for kind in ("segment's mappings", "our defaults", "rudder"):
        _print_total(kind, [column for column in columns if column.kind == kind])


def _print(column: Column, width: int, diffs: int) -> None:
    count = column.count()
    share = "" if column.share is None else f"{column.share:6.1%}"
    numbers = ", ".join(f"{count[name]} {name}" for name in
                        ("matched", "better", "differs", "skipped") if count[name])  # fmt: skip
    print(f"{column.slug:{width}}  {column.kind:18}  {share:6}  {numbers}")
    differing = [result for result in column.results if result.outcome == "differs"]
    for result in differing[:diffs]:
        print(f"    {result.case}: {result.reason}")
    reasons = {result.reason for result in column.results if result.outcome == "better"}
    for reason in sorted(reasons):
        print(f"    better, because {reason}")
    skipped = {result.reason for result in column.results if result.outcome == "skipped"}
    for reason in sorted(skipped):
        print(f"    skipped: {reason}")


def _print_total(kind: str, columns: list[Column]) -> None:
    total = Column("all", kind, [result for column in columns for result in column.results])
    if total.share is not None:
        count = total.count()
        tried = count.total() - count["skipped"]
        print(f"\n{kind}: {total.share:.1%} of {tried} cases of {len(columns)} destinations")


if __name__ == "__main__":
    main()
