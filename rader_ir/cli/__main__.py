"""`python -m rader_ir.cli VERB ...` is `rader VERB ...`; `accelerate launch -m rader_ir.cli train ...` starts several."""

import sys

from rader_ir.cli import main

if __name__ == "__main__":
    sys.exit(main())
