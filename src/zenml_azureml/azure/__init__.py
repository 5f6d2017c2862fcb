"""The Azure side: the only package that imports `azure.*`. It knows nothing of ZenML.

Import its modules when they are needed, not before: the Azure ML SDK takes more than a second to load.
"""

from __future__ import annotations

import logging

# The SDK announces its own experimental classes whenever it is imported, and logs each answer that is an error;
# azure-identity logs every credential that it tries in vain. Relevant errors are raised too, so the logs repeat them.
for _noisy in ("azure.ai.ml._utils._experimental", "azure.ai.ml._telemetry", "azure.identity"):
    logging.getLogger(_noisy).setLevel(logging.CRITICAL)
