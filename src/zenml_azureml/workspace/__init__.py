"""The Azure side: the only package that imports `azure.*`. It knows nothing of ZenML.

Import its modules when they are needed, not before: the Azure ML SDK takes more than a second to load.
"""

from __future__ import annotations

import logging

# The SDK announces its own experimental classes whenever it is imported, and azure-identity logs every
# credential that it tries in vain before it raises the same as one error. Neither helps a user.
for _noisy in ("azure.ai.ml._utils._experimental", "azure.identity"):
    logging.getLogger(_noisy).setLevel(logging.ERROR)
