"""The table: same rows, same bytes; a bad table names file, line, column and remedy."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whichloss.stats import COLUMNS, Row, TableError, read, write

ROW = Row("s", "r", "Tversky(fp=0.3, fn=0.7)", "d", "n", 0, 1, "", "test", "dice", "", 0.1 + 0.2, 80, 20)
HEADER = ",".join(COLUMNS)
LINE = 's,r,"Tversky(fp=0.3, fn=0.7)",d,n,0,1,,test,dice,,0.5,80,20'

texts = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=8)
whole = st.integers(-5, 10**12)
counts = st.integers(0, 10**6)
values = st.none() | st.floats(allow_nan=False)
tables = st.lists(
    st.builds(
        Row,
        texts, texts, texts, texts, texts, whole, whole, texts,
        st.sampled_from(["test", "chance"]), texts, texts, values, counts, counts,
    ),
    max_size=6,
)  # fmt: skip


def test_columns():
    header = "study run loss data network fold seed stress split metric unit value n_train n_test"
    assert " ".join(COLUMNS) == header


@settings(deadline=None, max_examples=60)
@given(tables, st.randoms())
def test_round_trip_and_same_bytes_in_any_order(tmp_path_factory, rows, random):
    folder = tmp_path_factory.mktemp("tables")
    write(folder / "one.csv", rows)
    back = read(folder / "one.csv")
    assert sorted(map(repr, back)) == sorted(map(repr, rows))  # repr: tells -0.0 from 0.0
    random.shuffle(back)
    write(folder / "two.csv", back)
    assert (folder / "one.csv").read_bytes() == (folder / "two.csv").read_bytes()
    assert sorted(os.listdir(folder)) == ["one.csv", "two.csv"]  # nothing is left aside


def test_what_stands_in_the_file(tmp_path):
    write(tmp_path / "t.csv", [ROW._replace(seed=10), ROW._replace(seed=9, value=None)])
    assert (tmp_path / "t.csv").read_bytes().decode() == (
        f"{HEADER}\n"
        's,r,"Tversky(fp=0.3, fn=0.7)",d,n,0,9,,test,dice,,,80,20\n'
        's,r,"Tversky(fp=0.3, fn=0.7)",d,n,0,10,,test,dice,,0.30000000000000004,80,20\n'
    )


def test_numpy_numbers_are_written_as_numbers(tmp_path):
    import numpy as np

    write(tmp_path / "t.csv", [ROW._replace(value=np.float64(0.5), fold=np.int64(0))])
    assert read(tmp_path / "t.csv") == [ROW._replace(value=0.5)]


def test_a_spreadsheet_may_reorder_add_columns_and_a_byte_order_mark(tmp_path):
    header, line = f"note,{HEADER}".split(","), ["x", *ROW._replace(loss="L", value=0.5)]
    text = ",".join(reversed(header)) + "\r\n" + ",".join(map(str, reversed(line))) + "\r\n\r\n"
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read(tmp_path / "t.csv") == [ROW._replace(loss="L", value=0.5)]


def test_a_failed_write_keeps_the_old_table(tmp_path):
    path = tmp_path / "t.csv"
    write(path, [ROW])
    before = path.read_bytes()
    for bad in (
        ROW._replace(value=float("nan")),
        ROW._replace(loss="two\nlines"),
        ROW._replace(loss="\ud800"),
    ):
        with pytest.raises(ValueError):
            write(path, [ROW, bad])
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["t.csv"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["line 1", "no column study", "came: nothing"]),
        (HEADER.replace(",seed", "") + "\n", ["line 1", "no column seed", "fits: study,run"]),
        (f"{HEADER},fold\n", ["line 1", "column fold comes twice"]),
        (f"{HEADER}\n{LINE}\n{LINE},9\n", ["line 3", "15 fields for 14 columns"]),
        (f"{HEADER}\n{LINE}\n{LINE.replace('0.5', 'high')}\n", ["line 3", "column value", "'high'", "0.713"]),
        (f"{HEADER}\n{LINE.replace('0.5', 'nan')}\n", ["line 2", "column value", "empty if the run failed"]),
        (f"{HEADER}\n{LINE.replace('n,0,1', 'n,0.5,1')}\n", ["line 2", "column fold", "whole number"]),
        (f"{HEADER}\n{LINE.replace('80,20', '80,-1')}\n", ["line 2", "column n_test", "0 or more"]),
        (f"{HEADER}\n{LINE.replace('test', 'Test')}\n", ["line 2", "column split", "test, chance"]),
        (f'{HEADER}\n"s"x{LINE[1:]}\n', ["not CSV"]),
    ],
)
def test_a_bad_table_says_where_and_what_to_do(tmp_path: Path, text: str, words: list[str]):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(TableError) as error:
        read(path)
    for word in [str(path), *words]:
        assert word in str(error.value)


def test_not_text(tmp_path):
    (tmp_path / "t.csv").write_bytes(HEADER.encode() + b"\n\xff\xfe")
    with pytest.raises(TableError, match="UTF-8"):
        read(tmp_path / "t.csv")
