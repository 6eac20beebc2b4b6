"""The sentences on a comparison say what its table says."""

import freehint as fh


def test_a_sentence_on_several_seeds_tells_their_median():
    run = fh.simulate(fh.Scenario(memory="64MiB", duration_ns=30_000_000))
    table = fh.summaries([run] * 3)
    table["coverage"] = [0.1, 0.9, 0.3]
    assert "told the host of 30.0% of the memory" in fh.findings(table)
