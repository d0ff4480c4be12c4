"""Who trains and who is tested: patients are dealt to folds, whole."""

import json
from collections.abc import Sequence
from csv import DictReader
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from numpy.random import Generator, default_rng

from whichloss.core import UserError

from .cases import Cases
from .find import Root, find_file


@dataclass(frozen=True)
class Fold:
    """Indices of cases, ascending."""

    train: tuple[int, ...]
    test: tuple[int, ...]


def folds(cases: Cases, *, k: int, seed: int, stratified: bool = True) -> list[Fold]:
    """k folds that test every case once, each with its share of every stratum and class; another seed, another draw.

    In regression each has its share of every fifth of the quantity: a network does not extrapolate, so that no fold
    should lack the small or the large while it is trained, and chance should be about the same for all.

    Written here because scikit-learn's StratifiedGroupKFold goes through patients from the most to the least uneven
    one: where patients have different numbers of cases, another seed changes little or nothing.
    """
    groups, member = np.unique(cases.groups, return_inverse=True)
    if k < 2:
        raise UserError(f"{k} folds: at least 2 are needed, one to test and one to train")
    if k > len(groups):
        raise UserError(f"{k} folds need at least {k} groups (patients); there are {len(groups)}")
    facts = _facts(cases, np.arange(len(cases)), stratified)
    part = _deal(_sums(facts, member, len(groups)), [1 / k] * k, default_rng(seed))[member]
    return [_checked(cases, part != fold, part == fold) for fold in range(k)]


def inner(cases: Cases, train: Sequence[int], *, fraction: float, seed: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The training part in two: cases to fit, and about this fraction of it to choose settings by.

    Each class is on both sides wherever two groups have it; of a quantity, each fifth has its share where it can.
    """
    cases_of_train = np.asarray(train)
    groups, member = np.unique([cases.groups[i] for i in train], return_inverse=True)
    if not 0 < fraction < 1:
        raise UserError(f"the inner part cannot be {fraction} of the training part: it must be between 0 and 1")
    if len(groups) < 2:
        raise UserError(f"the training part has {len(groups)} group (patient); an inner split needs at least 2")
    sums = _sums(_facts(cases, cases_of_train, stratified=True), member, len(groups))
    part = _deal(sums, [1 - fraction, fraction], default_rng(seed))
    if cases.task.by_image:
        _lend(part, _sums(_one_hot(cases.labels.numpy()[cases_of_train]), member, len(groups)))
    chosen = np.zeros((2, len(cases)), dtype=bool)
    chosen[part[member], cases_of_train] = True
    fold = _checked(cases, *chosen)
    return fold.train, fold.test


def given(path: str | Path, cases: Cases, root: Root = None) -> list[Fold]:
    """Folds that somebody else drew, as in nnU-Net's splits_final.json: [{"train": [ids], "val": [ids]}, ...].

    Or a table, .csv, with the columns id (else path) and fold: each fold is tested once.
    """
    path = find_file(path, root)
    if path.suffix.lower() == ".csv":
        place = {one: i for i, one in enumerate(cases.ids)}
        return [_given(f"{path}, fold {name!r}", entry, place, cases) for name, entry in _of_table(path).items()]
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UserError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(entries, list) or not entries or not all(_is_split(entry) for entry in entries):
        raise UserError(f'{path} must be a list of {{"train": [ids], "val": [ids]}}, no list of ids empty')
    place = {one: i for i, one in enumerate(cases.ids)}
    return [_given(f"{path}, fold {number}", entry, place, cases) for number, entry in enumerate(entries)]


def share_of(groups: Sequence[str], facts: Sequence[tuple[str, ...]], share: float, chance: Generator) -> np.ndarray:
    """Indices, ascending, of about this share of the cases: whole groups, with their share of each kind of fact.

    facts: for each case as many texts, such as its class, its stratum and its side.
    """
    names, member = np.unique(groups, return_inverse=True)
    kinds = np.hstack([_one_hot(np.array(column)) for column in zip(*facts, strict=True)])
    part = _deal(_sums(kinds, member, len(names)), [1 - share, share], chance)
    return np.flatnonzero(part[member] == 1)


def check_groups(cases: Cases, fold: Fold) -> None:
    """Refuse a fold that trains and tests on the same patient."""
    trains = {cases.groups[i]: i for i in reversed(fold.train)}
    for i in fold.test:
        group = cases.groups[i]
        if group in trains:
            raise UserError(
                f"group leak: {group!r} is on both sides; case {cases.ids[trains[group]]!r} trains "
                f"and case {cases.ids[i]!r} tests. Keep all cases of a patient on one side"
            )


def _checked(cases: Cases, train: np.ndarray, test: np.ndarray) -> Fold:
    """The fold of two masks over the cases."""
    fold = Fold(tuple(np.flatnonzero(train).tolist()), tuple(np.flatnonzero(test).tolist()))
    check_groups(cases, fold)
    return fold


# dealing


def _deal(sums: np.ndarray, shares: Sequence[float], chance: Generator) -> np.ndarray:
    """To which part each group goes, (G,). sums: (G, facts), how many cases of each group each fact is true of.

    Groups are dealt in random order, large before small up to a factor of two. Each goes to the part that lacks most of
    what the group has; no part stays empty.
    """
    total = sums.sum(0)
    lacks = np.outer(shares, total)  # (parts, facts)
    part = np.full(len(sums), -1)
    order = chance.permutation(len(sums))
    octave = np.floor(np.log2(sums.max(1)))
    for done, group in enumerate(order[np.argsort(-octave[order], kind="stable")]):
        open_parts = np.arange(len(shares))
        if len(sums) - done <= len(shares):
            empty = np.setdiff1d(open_parts, part)
            open_parts = empty if len(empty) == len(sums) - done else open_parts
        fits = (lacks @ (sums[group] / total)).round(9)  # rounded, so that ties are ties
        room = lacks.sum(1).round(9)
        part[group] = open_parts[np.lexsort((room[open_parts], fits[open_parts]))[-1]]
        lacks[part[group]] -= sums[group]
    return part


def _lend(part: np.ndarray, classes: np.ndarray) -> None:
    """Move single groups so that no side of two lacks a class that the other can spare."""
    for one in range(classes.shape[1]):
        for poor, rich in ((0, 1), (1, 0)):
            if classes[part == poor, one].any():
                continue
            holdings = classes[part == rich].sum(0)
            spare = [
                group
                for group in np.flatnonzero((part == rich) & (classes[:, one] > 0))
                if ((holdings - classes[group] > 0) | (holdings == 0)).all()
            ]
            if spare:
                part[min(spare, key=lambda group: classes[group].sum())] = poor


def _facts(cases: Cases, index: np.ndarray, stratified: bool) -> np.ndarray:
    """One row a case, one column a fact: is of this stratum, of this class or fifth; or a single one, always true."""
    columns = []
    if stratified and cases.strata is not None:
        columns.append(_one_hot(np.asarray(cases.strata)[index]))
    if stratified and cases.task.by_image:
        columns.append(_one_hot(cases.labels.numpy()[index]))
    if stratified and cases.task.kind == "regression":
        columns.append(_one_hot(_fifths(cases.labels.numpy()[index])))
    return np.hstack(columns) if columns else np.ones((len(index), 1))


def _fifths(values: np.ndarray) -> np.ndarray:
    """Which fifth of the cases each value belongs to; equal values to the same."""
    edges = np.sort(values)[len(values) * np.arange(1, 5) // 5]
    return np.searchsorted(edges, values, side="right")


def _one_hot(values: np.ndarray) -> np.ndarray:
    found, index = np.unique(values, return_inverse=True)
    return np.eye(len(found))[index]


def _sums(facts: np.ndarray, member: np.ndarray, groups: int) -> np.ndarray:
    """(G, facts) from (N, facts)."""
    sums = np.zeros((groups, facts.shape[1]))
    np.add.at(sums, member, facts)
    return sums


# folds from a file


def _of_table(path: Path) -> dict[str, dict[str, list]]:
    """The ids of both sides, by the name of the fold."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = [{name: cell for name, cell in row.items() if name and cell} for row in DictReader(file)]
    rows = [{name.strip(): cell.strip() for name, cell in row.items()} for row in table if row]
    if not rows or "fold" not in rows[0] or any(not row.keys() & {"id", "path"} for row in rows):
        raise UserError(f"{path} must have the columns id (or path) and fold, as a table of cases has them")
    fold_of = {row.get("id") or row["path"]: row.get("fold", "") for row in rows}
    names = sorted(set(fold_of.values()))
    if len(names) < 2 or "" in names:
        raise UserError(
            f"{path}: the column fold holds {', '.join(map(repr, names))}; each case needs one of two or more"
        )
    return {
        name: {
            "train": [one for one, fold in fold_of.items() if fold != name],
            "val": [one for one, fold in fold_of.items() if fold == name],
        }
        for name in names
    }


def _is_split(entry: object) -> bool:
    return isinstance(entry, dict) and all(
        isinstance(entry.get(side), list) and entry[side] for side in ("train", "val")
    )


def _given(where: str, entry: dict[str, list], place: dict[str, int], cases: Cases) -> Fold:
    sides = {side: [str(one) for one in entry[side]] for side in ("train", "val")}
    for side, ids in sides.items():
        for one in ids:
            if one not in place:
                near = get_close_matches(one, place, n=1)
                hint = (
                    f"; did you mean {near[0]!r}?"
                    if near
                    else f"; there are {len(place)} cases, such as {cases.ids[0]!r}"
                )
                raise UserError(f"{where}: no case has the id {one!r} in {side!r}{hint}")
    both = sorted(set(sides["train"]) & set(sides["val"]))
    if both:
        raise UserError(f"{where}: case {both[0]!r} is both in 'train' and in 'val'")
    train, test = (tuple(sorted({place[one] for one in ids})) for ids in sides.values())
    fold = Fold(train, test)
    try:
        check_groups(cases, fold)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    return fold
