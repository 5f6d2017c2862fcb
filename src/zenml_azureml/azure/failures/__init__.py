"""Why a job failed: the classifier, and the rules it goes by. Pure."""
