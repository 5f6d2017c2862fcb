"""The Azure side: the only package that imports `azure.*`. It knows nothing of ZenML.

Import its modules when they are needed, not before: the Azure ML SDK takes more than a second to load.
"""
