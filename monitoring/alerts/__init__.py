"""Who is told of incidents, when, in which words and by which way."""
