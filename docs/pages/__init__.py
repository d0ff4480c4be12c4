"""The pages of the site that are computed when it is built: one for each loss, the sources, the command line.

loss.py       a loss: formula, source, what it does to training, curve, example, properties, fields
facts.py      what is measured of a loss, and what its fields mean
uses.py       when to use a loss and when not: uses.yaml, or what follows from the facts
example.py    a few lines that run, and what they print
drawing.py    curve and slope as SVG
formulas.py   LaTeX to MathML, which browsers draw without a script
sources.py    references.bib in words
commands.py   the command line, from its own help
"""
