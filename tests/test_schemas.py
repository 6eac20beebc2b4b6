"""Every table of the recordings has a schema (data/schemas/), and keeps to it."""

import json
from pathlib import Path

import jsonschema
import polars as pl
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parent.parent / "data"
SCHEMAS = {path.stem: json.loads(path.read_text()) for path in (ROOT / "schemas").glob("*.json")}
META = SCHEMAS.pop("meta.schema")
SCHEMAS.pop("published.schema")  # of rows in TOML; tests/studies/test_verify.py
FILES = sorted(p for p in ROOT.rglob("*") if p.suffix in (".parquet", ".csv"))
TABLES = [path for path in FILES if path.relative_to(ROOT).parts[0] != "speed"]


def wrong(table: pl.DataFrame, schema: dict, arrow: dict | None = None) -> list:
    """What in a table breaks its schema, as sentences."""
    fields = {field["name"]: field for field in schema["fields"]}
    needed = [name for name, f in fields.items() if f["constraints"]["required"]]
    found = [f"column {name} is missing" for name in needed if name not in table.columns]
    if found or [name for name in fields if name in table.columns] != table.columns:
        return found or [f"columns are {table.columns}"]
    for name in table.columns:
        field, values = fields[name], table[name]
        if arrow and arrow[name] not in field["arrow"]:
            found.append(f"{name} has type {arrow[name]}")
        limits = field["constraints"]
        if limits["required"] and values.null_count():
            found.append(f"{name} has no value in {values.null_count()} rows")
        if "enum" in limits and not values.cast(pl.String).is_in([*map(str, limits["enum"])]).all():
            found.append(f"{name} has a value that is not one of {limits['enum']}")
        if values.min() is not None and values.dtype.is_numeric():
            if values.min() < limits.get("minimum", values.min()):
                found.append(f"{name} has {values.min()}")
            if values.max() > limits.get("maximum", values.max()):
                found.append(f"{name} has {values.max()}")
    for key in (schema["primaryKey"], *schema.get("uniqueKeys", [])):
        if table.select(key).is_duplicated().any():
            found.append(f"{', '.join(key)} is not unique")
    return found


def schema_of(path: Path) -> dict:
    """The schema of a file, by the end of its name: freelist.parquet, rss.csv, migrations.csv."""
    return SCHEMAS[path.name.split(".")[-2]]["schema"]


def arrow_types(path: Path) -> dict:
    return {field.name: str(field.type).split("<")[0] for field in pq.read_schema(path)}


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_table_keeps_to_its_schema(path):
    if path.suffix == ".csv":
        assert wrong(pl.read_csv(path, infer_schema_length=None), schema_of(path)) == []
    else:
        assert wrong(pl.read_parquet(path), schema_of(path), arrow_types(path)) == []


def test_every_schema_is_used():
    assert {path.name.split(".")[-2] for path in TABLES} == set(SCHEMAS)


def test_a_broken_table_is_told():
    path = ROOT / "linux-6.1/traces/fork.T0.freelist.parquet"
    table, schema, arrow = pl.read_parquet(path), schema_of(path), arrow_types(path)
    assert wrong(table.drop("pfn"), schema) == ["column pfn is missing"]
    assert "columns are" in wrong(table.select(reversed(table.columns)), schema)[0]
    high = table.with_columns(order=pl.lit(11, pl.UInt8))
    assert "order has 11" in wrong(high, schema)
    assert "pfn is not unique" in wrong(table.with_columns(pfn=pl.lit(7)), schema)
    assert wrong(table, schema, arrow | {"pfn": "double"}) == ["pfn has type double"]
    other = table.with_columns(zone=pl.lit("Device"))
    assert "zone has a value" in wrong(other, schema)[0]
    missing = table.with_columns(pfn=pl.when(pl.col("position") > 0).then(pl.col("pfn")))
    assert any("pfn has no value" in sentence for sentence in wrong(missing, schema))


@pytest.mark.parametrize(
    ("folder", "least"),
    [("linux-5.10", 2), ("linux-6.1", 16), ("linux-6.12", 16), ("linux-7.3", 2)],
)
def test_meta_files_keep_to_their_schema(folder, least):
    check = jsonschema.Draft202012Validator(META)
    check.check_schema(META)
    files = sorted((ROOT / folder).rglob("*.meta.json"))
    assert len(files) >= least
    for path in files:
        assert [*map(str, check.iter_errors(json.loads(path.read_text())))] == [], path
