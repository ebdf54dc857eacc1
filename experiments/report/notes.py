"""How tables are to be read, once for all of them, and what holds for one of them alone."""

from __future__ import annotations

import re

from experiments.metric_names import VALID_NDCG10
from experiments.record.line import Line
from experiments.report.aggregate import tally
from experiments.report.compare import LEVEL, Table
from experiments.report.numbers import number_text
from experiments.report.statistics import LEAST_SEEDS, POWER, RESAMPLES

ERRORS = 5  # different errors that are listed
BATCH = re.compile(r" \(step \d+, sha256 [0-9a-f]+\)")  # in an error: another with each seed
CAPTION = (
    "Mean ± standard deviation over seeds; bold: the best mean of a column.",
    "difference: test NDCG@10, seen items excluded, minus the baseline's of the same seed; "
    "95 % interval: Student's t over paired seeds; d_z: mean over standard deviation of the paired "
    f"differences; p: paired bootstrap over users ({RESAMPLES:,} resamples or more) of NDCG@10 "
    "averaged over seeds, corrected by Holm within the table.",
    f"* significant: at least {LEAST_SEEDS} paired seeds, the interval excludes 0 (it is of one "
    "row alone, not corrected for their number), "
    f"p < {LEVEL:.2f}, and variant and baseline have the same next-item loss.",
    f"exploratory: fewer than {LEAST_SEEDS} paired seeds; nothing is tested, so there is no star, "
    "no interval, no d_z and no p.",
)
"""What a table that stands alone has to say."""
METHOD = (
    *CAPTION,
    "smallest detectable difference (of a row: detectable): the larger of two true differences, "
    f"each of which is found in about {100 * POWER:.0f} % of all repetitions: "
    "what the interval shows, (t.975 + t.8) times the standard error over the n paired seeds, t of "
    "n - 1 degrees of freedom; and what p shows, (z + z.8) times the standard error over users, z "
    f"the normal quantile of p = {LEVEL} divided by the tests of the table, as Holm asks of the "
    "smallest p (minimum detectable effect: Bloom, Evaluation Review 19(5), 1995). A star needs "
    "both, which are found together in fewer: in about two thirds where the two are of like size.",
    "other loss: variant and baseline do not learn with the same next-item loss, so no difference "
    "is called significant.",
    "views unchanged: the share of augmented views that equal their input, in the first batch of "
    "the best epoch and every 20th after it (train.diagnose_every): of few batches it is rough; "
    "logs and result lines call it identity_rate.",
    "seen ranked: items that a user has seen compete like all others; in all other columns they "
    "leave the ranking.",
    "A published row stands under the seen-item rule that it was measured with and names its "
    "next-item loss; it was not run again here. score 0: seen items stay in the ranking with the "
    "score 0.",
    "(GPU): seconds of a share of a GPU. For the same seed a GPU draws other dropout and views "
    "than a CPU; initial weights and batches are the same.",
)


def notes(table: Table) -> list[str]:
    """Sentences that hold for this table: what its comparisons can and cannot show."""
    lines = [line for group in table.groups for line in group.lines]
    return [*split_of(lines), *detectable(table), *untested(table), *seen(lines)]


def origin_notes(table: Table) -> list[str]:
    """Sentences on what its lines come from, and on what has no row."""
    lines = [line for group in table.groups for line in group.lines]
    return [*origins(lines), *searched(table), *unfinished(table)]


def detectable(table: Table) -> list[str]:
    """The smallest difference from each baseline that its rows could have shown."""
    said = []
    for base in table.baselines:
        compared = [
            comparison
            for comparison in table.comparisons.values()
            if comparison.baseline == base.variant and comparison.loss
        ]
        if not compared:
            continue
        tested = [
            (len(one.seeds), number_text(one.detectable))
            for one in compared
            if one.detectable is not None
        ]
        if not tested:
            few = all(one.exploratory for one in compared)
            why = f"fewer than {LEAST_SEEDS} paired" if few else "no spread over the"
            said.append(f"none from {base.variant}, with {why} seeds")
        for seeds in sorted({count for count, _ in tested}):
            found = {text for count, text in tested if count == seeds}
            sizes = " to ".join(sorted({min(found), max(found)}))
            said.append(f"{sizes} from {base.variant} ({seeds} seeds)")
    return [f"Smallest detectable difference: {'; '.join(said)}."] if said else []


def untested(table: Table) -> list[str]:
    """Which rows have no test, or one over fewer seeds than they have."""
    said = []
    few = sum(comparison.exploratory for comparison in table.comparisons.values())
    if few:
        said.append(f"Exploratory rows: {few} of {len(table.comparisons)}.")
    fewer = sum(
        len(table.comparisons[group.variant].seeds) < len(group.lines)
        for group in table.groups
        if group.variant in table.comparisons
    )
    if fewer:
        said.append(
            f"Variants with seeds that their baseline lacks: {fewer}; differences are over the "
            "seeds that both have."
        )
    lost = [
        group for group in table.groups if group.baseline and group.variant not in table.comparisons
    ]
    for name, count in tally(str(group.baseline) for group in lost):
        said.append(f"Variants without comparison: {count}, as {name} has none of their seeds.")
    return said


def split_of(lines: list[Line]) -> list[str]:
    """What a split other than leave-one-out holds out."""
    counts = lines[0].values.get("split") if lines else None
    if not counts or "test_targets" not in counts:
        return []
    return [
        f"Test: {counts['test_targets']:,} targets of {counts['test_users']:,} users; training: "
        f"{counts['train_interactions']:,} interactions of {counts['train_users']:,} users; "
        f"{counts['unknown_interactions']:,} held-out interactions are with items that it lacks."
    ]


def seen(lines: list[Line]) -> list[str]:
    repeats = lines[0].number("targets_seen/test") if lines else None
    if not repeats:
        return []
    return [
        f"{repeats:,.0f} of {lines[0].targets:,} test items were seen before: misses where seen "
        "items are excluded."
    ]


def origins(lines: list[Line]) -> list[str]:
    """Where not all lines were made by the same code, on the same machine."""
    said = []
    commits = tally(str(line.values.get("commit") or "unknown")[:7] for line in lines)
    if len(commits) > 1:
        parts = ", ".join(f"{name} ({count})" for name, count in commits)
        said.append(f"Trials of different versions of the code: {parts}.")
    dirty = sum(bool(line.values.get("dirty")) for line in lines)
    if dirty:
        said.append(f"Trials of code with changes that were not committed: {dirty}.")
    devices = tally(str(line.values.get("device") or "unknown") for line in lines)
    if len(devices) > 1:
        parts = ", ".join(f"{name} ({count})" for name, count in devices)
        said.append(f"Trained on different devices, whose seconds differ: {parts}.")
    return said


def searched(table: Table) -> list[str]:
    """A search chooses by validation; its trials have no row of their own."""
    trials = [(line.number(VALID_NDCG10) or 0.0, line.variant) for line in table.searched]
    if not trials:
        return []
    best, variant = max(trials)
    return [
        f"Trials of a search, which looked at validation alone: {len(trials)}; the best has "
        f"NDCG@10 {best:.4f} there ({variant})."
    ]


def unfinished(table: Table) -> list[str]:
    said = []
    if table.pruned:
        said.append(f"Pruned trials, which were stopped early, without test: {len(table.pruned)}.")
    if table.failed:
        reasons = (str(line.values.get("error") or "no reason given") for line in table.failed)
        errors = tally(BATCH.sub("", reason) for reason in reasons)
        parts = [f"{error} ({count})" for error, count in errors[:ERRORS]]
        rest = len(errors) - len(parts)
        parts += [f"and {rest} other errors"] if rest > 0 else []
        said.append(f"Failed trials: {len(table.failed)}; {'; '.join(parts)}.")
    return said
