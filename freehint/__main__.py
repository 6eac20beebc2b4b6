"""``python -m freehint``: the command line."""

import sys

from freehint.cli import main

sys.exit(main())
