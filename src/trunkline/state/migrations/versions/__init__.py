"""One file a revision, oldest first. A revision is history: it names its columns itself and never imports `schema`."""
