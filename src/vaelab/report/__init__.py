"""Sections, figures and tables → one self-contained HTML file. It sees no model, no data set and no tensor."""
