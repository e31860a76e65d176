"""Every threshold of effects is a setting of the screen, with the same name and default."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from phenoassets.effects.significance import SignificanceRules
from phenoassets.effects.thresholds import EffectRules
from phenoassets.errors import SettingsError
from phenoassets.screen.sections import Effects, Significance
from phenoassets.screen.settings import read_settings


def test_settings_and_thresholds_are_the_same():
    assert asdict(EffectRules()) == Effects().model_dump()
    assert asdict(SignificanceRules()) == Significance().model_dump()


def test_every_threshold_says_what_it_is_and_in_the_docstring_too():
    documented = EffectRules.__doc__ or ""
    for name, field in Effects.model_fields.items():
        assert field.description
        assert f"    {name}\n" in documented


@pytest.mark.parametrize(
    ("line", "said"),
    [("smoothing_points = 4", "odd"), ("held_share = 1.5", "less than 1"), ("hold = 1", "not permitted")],
)
def test_a_threshold_that_cannot_be_meant_is_refused(tmp_path, line, said):
    path = tmp_path / "screen.toml"
    path.write_text(f"[effects]\n{line}\n")
    with pytest.raises(SettingsError, match=said):
        read_settings(path)
