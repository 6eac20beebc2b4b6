"""What stands behind a run: mails, commits, papers and recordings."""
