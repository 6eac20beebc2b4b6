"""Parts that are folded away on the screen, and open on paper."""

import pandas as pd

from freehint.reports.folded import folded, folded_html, table_of_words
from lab import chromium, open_offline


def test_a_folded_part_shows_its_title_alone_until_it_is_printed(tmp_path):
    part = folded_html("Provenance & more", "<p>numbers</p>")
    path = tmp_path / "page.html"
    path.write_text(f"<!doctype html><meta charset='utf-8'><body>{part}</body>")
    with chromium() as browser:
        shown = open_offline(path, "folded", browser)
        assert "Provenance & more" in shown.text and "numbers" not in shown.text
        opened = part.replace("addEventListener('beforeprint',", "(run=>run())(")
        path.write_text(f"<!doctype html><meta charset='utf-8'><body>{opened}</body>")
        assert "numbers" in open_offline(path, "opened", browser).text


def test_tables_of_a_notebook_fold_below_one_title():
    html = folded("Inputs", pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [2]})).data
    assert html.count("<table") == 2 and html.count("<details>") == 1


def test_the_first_column_of_a_table_of_words_is_named_beside_the_others():
    table = pd.DataFrame({"said": ["yes"]}, index=pd.Index(["rotation"], name="dispute"))
    head = table_of_words(table).data.split("</thead>")[0]
    assert head.count("<tr") == 1 and "dispute" in head and "said" in head
