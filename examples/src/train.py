import argparse
import csv
from pathlib import Path

import joblib
from sklearn.tree import DecisionTreeClassifier

parser = argparse.ArgumentParser()
parser.add_argument("--data", type=Path)
parser.add_argument("--depth", type=int)
parser.add_argument("--model", type=Path)
args = parser.parse_args()

with args.data.open() as file:
    rows = list(csv.reader(file))[1:]
features = [[float(value) for value in row[:-1]] for row in rows]
species = [row[-1] for row in rows]
tree = DecisionTreeClassifier(max_depth=args.depth, random_state=0).fit(features, species)
print("accuracy", tree.score(features, species))
joblib.dump(tree, args.model / "tree.joblib")
