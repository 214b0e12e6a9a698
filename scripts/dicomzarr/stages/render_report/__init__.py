"""Stage `render_report`: the report of the dataset as one self-contained HTML page."""
