"""From frames to volumes: which frames form one array, in what order, with what geometry."""
