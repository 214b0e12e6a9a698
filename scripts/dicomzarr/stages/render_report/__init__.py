"""Stage `render_report`: one self-contained page for people."""
