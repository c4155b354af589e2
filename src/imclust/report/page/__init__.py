"""`report.html`: one page made of the artefacts of a run, that needs nothing beside it.

Python computes what is shown, one module a section; the templates lay it out; the scripts in
`static/` show images, points and tables, and collect the reader's corrections.
"""
