"""`python -m dver`: the same as the command `dver`."""

import sys

from dver.cli.main import main

sys.exit(main())
