"""Specs of computes and jobs: plain data between settings and the Azure SDK. Any package may import it."""
