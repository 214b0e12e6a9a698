"""Stage `index_headers`: one line of facts for each regular file of the source."""
