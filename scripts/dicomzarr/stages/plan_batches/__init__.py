"""Stage `plan_batches`: files to series, series to batches."""
