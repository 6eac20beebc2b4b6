"""Parts of a report: folded away until its reader opens it, and a table of words."""

from html import escape

from IPython.display import HTML

# On paper nothing can be opened, so all of it is.
OPEN_ON_PAPER = (
    "addEventListener('beforeprint',()=>document.querySelectorAll('details').forEach("
    "part=>{part.open=true}))"
)


def folded_html(title: str, html: str) -> str:
    """HTML of a part that shows only its title at first; printed, it is open."""
    script = f"<script>{OPEN_ON_PAPER}</script>"
    return f"<details><summary>{escape(title)}</summary>{html}</details>{script}"


def folded(title: str, *tables) -> HTML:
    """Tables (DataFrames), folded away below a title, for a notebook."""
    return HTML(folded_html(title, "".join(table.to_html() for table in tables)))


def table_of_words(table) -> HTML:
    """A table (DataFrame) of sentences and links, aligned at the left, for a notebook."""
    # The index's name stands beside the others, not in a row of its own.
    table = table.rename_axis(index=None, columns=table.index.name)
    html = table.to_html(escape=False)
    for cell in ("td", "th"):
        html = html.replace(f"<{cell}>", f'<{cell} style="text-align:left">')
    return HTML(html)
