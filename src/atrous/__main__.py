"""`python -m atrous` is the command `atrous`."""

import sys

from atrous.cli import main

sys.exit(main())
