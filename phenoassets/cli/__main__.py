"""``python -m phenoassets.cli``: the command line without its script."""

from phenoassets.cli.main import main

main()
