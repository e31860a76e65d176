"""Remedies are command lines that do what they say, whatever a plate is called."""

import shlex

import click
import pytest

from phenoassets.cli.main import main
from phenoassets.errors import as_argument


def command_of(words):
    command, words = main, list(words)
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    return command.make_context("it", words).params


@pytest.mark.parametrize("plate", ["P1", "-P1", "--yes", "-h", "it's P 1", "$(P1)", "ü -1"])
def test_a_plate_of_any_name_is_the_one_that_a_remedy_names(plate):
    assert command_of(shlex.split(f"plate reimport {as_argument(plate)}"))["plate_name"] == plate
    assert command_of(shlex.split(f"run --plate {shlex.quote(plate)}"))["plates"] == (plate,)
