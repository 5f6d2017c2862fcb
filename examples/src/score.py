import argparse
import csv
from pathlib import Path

import joblib

parser = argparse.ArgumentParser()
parser.add_argument("--model", type=Path)
parser.add_argument("--data", type=Path)
args = parser.parse_args()

tree = joblib.load(args.model / "tree.joblib")
for name in sorted(args.data.glob("*.csv")):
    with name.open() as file:
        rows = list(csv.reader(file))[1:]
    print(name.name, tree.predict([[float(value) for value in row[:-1]] for row in rows]))
