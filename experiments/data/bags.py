"""Bags of attributes or words to vectors: TF-IDF, unit length, few columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import svds

from experiments.data.vectors import Vectors

Bags = Mapping[str, Iterable[str]]
"""Item id -> the attributes or words it has; how often does not count."""

_WORD = re.compile(r"\w+(?:'\w+)?")


def bag_vectors(bags: Bags, ids: list[str], most: int) -> Vectors:
    """[len(ids), f] unit rows, 0 for an id without a bag.

    A column for each attribute, worth 1 + ln((1 + n) / (1 + df)) to the items that have it,
    with n items and df of them having it; more than `most` columns are projected on the right
    singular vectors of the `most` largest singular values, where there are more items than
    that.  Only the given ids are counted.
    """
    weighted = unit_rows(tf_idf(incidence(bags, ids)))
    if weighted.shape[1] <= most or min(weighted.shape) <= most:
        return dense(weighted)
    start = np.random.default_rng(0).standard_normal(min(weighted.shape))
    _, _, right = svds(weighted, k=most, v0=start)  # [most, attributes]
    reduced = weighted @ right[::-1].T  # [ids, most], largest first
    return dense(unit_rows(csr_matrix(reduced)))


def incidence(bags: Bags, ids: list[str]) -> csr_matrix:
    """[len(ids), attributes]: 1 where the item has the attribute, columns in order of names."""
    owned = [sorted(set(bags.get(item, ()))) for item in ids]
    names = sorted({name for attributes in owned for name in attributes})
    column = {name: index for index, name in enumerate(names)}
    columns = [column[name] for attributes in owned for name in attributes]
    ends = np.cumsum([0, *map(len, owned)])
    shape = (len(ids), max(1, len(names)))
    return csr_matrix((np.ones(len(columns)), np.array(columns, dtype=np.int64), ends), shape)


def tf_idf(counts: csr_matrix) -> csr_matrix:
    """Each column times 1 + ln((1 + n) / (1 + df)); n counts the rows that are not empty."""
    rows = (np.diff(counts.indptr) > 0).sum()
    having = np.bincount(counts.indices, minlength=counts.shape[1])  # [attributes]
    return csr_matrix(counts @ diags(1.0 + np.log((1 + rows) / (1 + having))))


def unit_rows(matrix: csr_matrix) -> csr_matrix:
    """Rows of Euclidean length 1; rows of 0 stay."""
    norm = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())  # [rows]
    return csr_matrix(diags(1.0 / np.where(norm > 0, norm, 1.0)) @ matrix)


def dense(matrix: csr_matrix) -> Vectors:
    filled: Vectors = matrix.toarray().astype(np.float32)
    return filled


def words(text: str) -> list[str]:
    """The words of a text in lower case: "Children's Film (1995)" has children's, film, 1995."""
    return _WORD.findall(text.lower())
