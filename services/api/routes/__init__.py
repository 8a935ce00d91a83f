"""Routes by subject. A route reads its parameters, queries the database and builds the response."""
