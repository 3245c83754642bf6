"""Status pages: made and changed, read into what is shown, and kept for who asks."""
