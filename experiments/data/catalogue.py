"""From the name of a data set to its file, and from its file to checked histories."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.data.declaration import Declaration, read_declaration
from experiments.data.known import declared, families, is_known, known
from experiments.data.reading.source import unpacked_name
from experiments.data.splits.kinds import Files, LeaveOneOut, SplitConfig
from experiments.errors import UsageError, did_you_mean
from experiments.storage.files import plain_name
from experiments.storage.hashing import cached_file_sha256, file_sha256

if TYPE_CHECKING:
    from experiments.data.histories import Histories
    from experiments.data.interactions import Ties

RAW = (".csv", ".tsv", ".dat", ".parquet", ".json", ".jsonl")  # ends of files to convert
PAGE = "experiments/docs/data.md says where to get it, or how to convert a file"


@dataclass(frozen=True)
class DatasetSpec:
    """A data set that was found: its file, and how to train on it.

    examples is `prefixes` or `windows`. A file that nothing declares is trained on by prefixes,
    which make a row of every interaction: where histories are long (a mean above 50), choose
    `windows`. defaults are dotted fields of a run's configuration that suit the data, below
    preset and command line. users, items, interactions and sha256 are checked on loading where
    known.
    """

    name: str
    path: Path
    examples: str = "prefixes"
    max_length: int = 50
    users: int | None = None
    items: int | None = None
    interactions: int | None = None
    sha256: str | None = None
    defaults: dict[str, Any] = field(default_factory=dict)


def check_name(name: str) -> None:
    """Errors: UsageError for a name that is not a plain file stem."""
    if not plain_name(f"{name}.inter") or name != name.strip():
        raise UsageError(
            f"{name!r} cannot name a data set: use a plain stem such as 'beauty' or 'LastFM', "
            "without folders"
        )


def locate(name: str, data_dir: Path | None) -> DatasetSpec:
    """Find the file of a data set; nothing is read but its declaration.

    A known name is declared in experiments/datasets, and its FILE is data_dir/FILE or
    data_dir/STEM/FILE, or embedded. Where it is made of raw files, or is not known, it may be
    registered in data_dir/NAME/NAME.yaml, as `run.py data` does, or be data_dir/NAME.txt. One
    that is not known may also be data_dir/NAME.inter or data_dir/NAME/NAME.inter, or come split
    as NAME.train.inter, NAME.valid.inter and NAME.test.inter in data_dir or data_dir/NAME.
    Errors: UsageError that says what was looked for and where.
    """
    check_name(name)
    if is_known(name):
        declaration = declared(name)
        if declaration.embedded:
            return spec_of(name, _embedded(name, declaration.file), declaration)
        folder = _existing(name, data_dir, f" with {declaration.file} in it")
        return _known(name, declaration, folder)
    folder = _existing(name, data_dir, "", hint=did_you_mean(name, known()))
    if converted := registered(name, folder):
        return converted
    path = _unregistered_file(name, folder)
    split = {"split.kind": "files"} if path.name.endswith(".train.inter") else {}
    return DatasetSpec(name, path, defaults=split)


def _known(name: str, declaration: Declaration, folder: Path) -> DatasetSpec:
    """A known data set that is not embedded."""
    converted = registered(name, folder) if declaration.raw else None
    found = fixed_file(folder, declaration)
    if found is None and declaration.raw and not declaration.sha256:
        text = folder / f"{name}.txt"
        found = text if os.path.isfile(text) else None
    if converted and found and declaration.sha256:
        raise UsageError(
            f"{name} is two data sets in {folder}: {found}, and what was converted to "
            f"{converted.path}; remove one of them"
        )
    if converted:
        return converted
    if found:
        return spec_of(name, found, declaration)
    raise UsageError(
        f"data set {name!r} needs the file {declaration.file} in {folder}, which has neither "
        f"{declaration.file} nor {Path(declaration.file).stem}/{declaration.file}"
        f"{_how_to_get(name, declaration)}"
    )


def fixed_file(folder: Path, declaration: Declaration) -> Path | None:
    """The file of a declared data set, in a folder or in one of its own in it."""
    file = Path(declaration.file)
    places = (folder / file, folder / file.stem / file)
    return next((path for path in places if os.path.isfile(path)), None)


def _how_to_get(name: str, declaration: Declaration) -> str:
    if declaration.raw is None:
        return f" ({PAGE})"
    return (
        f"; get {' or '.join(declaration.raw.files)} from {declaration.raw.page}, then "
        f"`run.py data {name} --source FILE --data-dir DIR`"
    )


def registered(name: str, folder: Path) -> DatasetSpec | None:
    """A data set that `run.py data` wrote to a folder."""
    file = folder / name / f"{name}.yaml"
    if not os.path.isfile(file):
        return None
    declaration = read_declaration(file)
    return spec_of(name, file.with_name(declaration.file), declaration)


def load(spec: DatasetSpec, ties: Ties = "file", split: SplitConfig | None = None) -> Histories:
    """Read a located data set and split it; ties as for `ordered`, split: leave-one-out if None.

    Errors: UsageError when the file is malformed, is not what its declaration expects, has no
    times for ties to be shuffled or for a temporal split, or does not suit the split.
    """
    from experiments.data.reading.read import ordered, read_interactions
    from experiments.data.splits.split_files import is_part, read_split_files
    from experiments.data.splits.splitting import split_histories

    split = split or LeaveOneOut()
    if isinstance(split, Files):
        interactions = ordered(read_split_files(spec.path), ties)
        if is_part(spec.path):  # declared as what it is
            check_all(spec, *interactions.counts, file_sha256(spec.path))
        return split_histories(interactions, spec.name, split)
    if is_part(spec.path):
        raise UsageError(
            f"{spec.path}: is a part of a data set that comes split; leave split.kind at files"
        )
    interactions = ordered(read_interactions(spec.path), ties)
    histories = split_histories(interactions, spec.name, split)
    if isinstance(split, LeaveOneOut):
        check(histories, spec)
    elif spec.sha256 or spec.users or spec.items or spec.interactions:
        check(interactions.histories(spec.name), spec)
    return histories


def data_sha256(spec: DatasetSpec, split: SplitConfig) -> str:
    """What the data are known by: the hash of the file, or of the three files that are read.

    A file that did not change since it was hashed is not read again.
    """
    if not isinstance(split, Files):
        return cached_file_sha256(spec.path)
    from experiments.data.splits.split_files import sha256_of

    return sha256_of(spec.path, cached_file_sha256)


def spec_of(name: str, path: Path, declaration: Declaration) -> DatasetSpec:
    """A data set whose file is at path, as declared."""
    return DatasetSpec(
        name=name,
        path=path,
        examples=declaration.examples,
        max_length=declaration.max_length,
        users=declaration.users,
        items=declaration.items,
        interactions=declaration.interactions,
        sha256=declaration.sha256,
        defaults=declaration.defaults,
    )


def check(histories: Histories, spec: DatasetSpec) -> None:
    """Errors: UsageError when counts or sha256 differ from those of the spec."""
    users, items = histories.num_users, histories.num_items
    check_all(spec, users, items, len(histories.items), histories.sha256)


def check_all(spec: DatasetSpec, users: int, items: int, interactions: int, sha256: str) -> None:
    """The same of numbers and a hash."""
    counted = {"users": users, "items": items, "interactions": interactions, "sha256": sha256}
    expected = {
        "users": spec.users,
        "items": spec.items,
        "interactions": spec.interactions,
        "sha256": spec.sha256,
    }
    for what, value in expected.items():
        if value is not None and value != counted[what]:
            raise UsageError(
                f"{spec.path} is not the {spec.name} that is declared: "
                f"expected {what} {value}, found {counted[what]}"
            )


def _embedded(name: str, file: str) -> Path:
    """The file inside the installed recbole package, which is not imported."""
    package = find_spec("recbole")
    if package is None or package.origin is None:
        raise UsageError(f"{name} is read from the recbole package: pip install recbole==1.2.0")
    return Path(package.origin).parent / "dataset_example" / Path(file).stem / file


def _existing(name: str, data_dir: Path | None, needs: str, hint: str = "") -> Path:
    if data_dir is None:
        raise UsageError(
            f"data set {name!r} does not come with the package{hint}: give --data-dir DIR{needs} "
            f"({PAGE})"
        )
    if not os.path.isdir(data_dir):
        raise UsageError(f"--data-dir {data_dir}: there is no such folder")
    return data_dir


def _is_raw(path: Path, name: str) -> bool:
    """Whether a file of this name can be converted, packed or not."""
    unpacked = Path(unpacked_name(path.name))
    packed = unpacked.name != path.name
    return path.is_file() and unpacked.stem == name and (packed or unpacked.suffix in RAW)


def _unregistered_file(name: str, folder: Path) -> Path:
    inter = f"{name}.inter"
    part = f"{name}.train.inter"  # of a data set that comes split
    for path in (
        *(folder / f"{name}.txt", folder / inter, folder / name / inter),
        *(folder / part, folder / name / part),
    ):
        if os.path.isfile(path):
            return path
    raw = next((path for path in sorted(folder.iterdir()) if _is_raw(path, name)), None)
    if raw is not None:
        raise UsageError(
            f"data set {name!r}: {raw} is not read as it is; convert it: "
            f"`run.py data {name} --source {raw} --data-dir {folder}`"
        )
    there = {path.stem for path in folder.iterdir() if path.suffix in (".txt", ".inter")}
    there |= {path.stem for path in folder.glob("*/*.yaml") if path.stem == path.parent.name}
    raise UsageError(
        f"unknown data set {name!r}{did_you_mean(name, [*known(), *sorted(there)])}: not one of "
        f"{', '.join([*known(), *families()])}, "
        f"and {folder} has no {name}.txt, {inter}, {name}/{inter} or "
        f"{name}/{name}.yaml ({PAGE})"
    )
