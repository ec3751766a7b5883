"""Runs side by side: what belongs to whom."""

from reports.multi_run.join import Joined, join
from robustbench_act.records import SourceInfo
from tests.build_run import CORRECT, Builder, with_info


def test_layers_have_the_names_of_their_cells() -> None:
    """Both runs have relu-11 and ReLU; la_silu-11 is in one. Each layer keeps the numbers of its own run."""
    old = Builder(correct={key: CORRECT[key] for key in (("la_silu", 11), ("relu", 11))}).run("old")
    new = Builder(correct={("relu", 11): CORRECT["relu", 11]}).run("new")
    joined = join([old, new])
    names = [
        ("la_silu-11", "la_silu"),
        ("relu-11 · old", "relu ⟨1⟩ old"),
        ("relu-11 · new", "relu ⟨2⟩ new"),
    ]
    for table in (joined.cells, joined.layers):
        pairs = zip(table["checkpoint"], table["activation"], strict=True)
        assert list(dict.fromkeys(pairs)) == names
    own = [*old.layers["output_fluctuation_mean"], *new.layers["output_fluctuation_mean"]]
    assert joined.layers["output_fluctuation_mean"].tolist() == own


def test_merged_runs_keep_their_sources() -> None:
    runs = [with_info(Builder().run(name), sources=(SourceInfo(created=name),)) for name in ("old", "new")]
    joined = join(runs)
    assert [source.created for source in joined.info.sources] == ["old", "new"]
    assert isinstance(joined, Joined)
    assert joined.unlike == {}
