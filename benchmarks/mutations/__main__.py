"""Run the study, or go on with it: `python -m benchmarks.mutations [MODEL ...] [--table]`."""

from __future__ import annotations

import sys

from benchmarks.mutations.study import main

sys.exit(main())
